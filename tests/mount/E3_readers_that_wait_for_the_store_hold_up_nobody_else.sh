# SPDX-License-Identifier: Apache-2.0
# E3: the store answers no GET, and more readers than the daemon has threads
# wait for it. Meanwhile cached reads, stats, listings and names that the store
# has to be asked for are served, and new readers can be killed.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
i=0
while [ $i -lt 96 ]; do
	i=$((i + 1))
	sim_put "slow/f$i" "size=3000000&seed=$i" >"$W/o"
done
sim_put d/small 'size=300000&seed=1001' >"$W/o"
sim_put d/large 'size=9000000&seed=1002' >"$W/o"
sim_put later/f 'size=10&seed=1003' >"$W/o"
small=$(sim_sha d/small) large=$(sim_sha d/large)
SIM_SLOW='op=GET&key=slow/*'
for o in passthrough=off passthrough=auto,max-connections=4; do
	CACHE_DIR=$W/cache-$o
	mount_tarn "$o,read-timeout=5m,stall-timeout=2m,prefetch=off"
	sha "$MNT/d/small" "$MNT/d/large" >"$W/o"
	ls -l "$MNT/slow" >"$W/o"
	sim forget ''
	sim_rule '{"name":"slow","op":"GET","key":"slow/*","hold":true}'
	i=0 readers=
	while [ $i -lt 96 ]; do
		i=$((i + 1))
		cat "$MNT/slow/f$i" >"$W/got.$i" 2>"$W/err.$i" &
		readers="$readers $!"
	done
	all_open() { # each waits for bytes, the store for us
		[ "$(sim "running?$SIM_SLOW")" -ge 4 ] &&
			[ "$(mount_stat "$MNT" "m['counters']['handles']")" -ge 96 ]
	}
	wait_for 30 all_open
	threads=$(find "/proc/$(mount_pid)/task" -mindepth 1 -maxdepth 1 | wc -l)
	echo "$o: 96 readers, $threads threads, $(sim "running?$SIM_SLOW") GETs"

	# All of this is done while they wait.
	timeout 10 sh -c "cat '$MNT/d/small' | sha256sum" >"$W/sum.small"
	drop_caches
	timeout 10 sh -c "cat '$MNT/d/large' | sha256sum" >"$W/sum.large"
	expect_eq "$(cut -d' ' -f1 "$W/sum.small")" "$small" "a cached read"
	expect_eq "$(cut -d' ' -f1 "$W/sum.large")" "$large" "a cached read"
	expect_eq "$(timeout 10 stat -c %s "$MNT/slow/f7")" 3000000 "a known size"
	expect_eq "$(timeout 10 ls "$MNT/slow" | wc -l)" 96 "a known listing"
	heads=$(($(sim 'count?op=HEAD') + $(sim 'count?op=LIST')))
	expect_eq "$(timeout 10 ls "$MNT/later")" f "a listing by the store"
	expect_errno ENOENT timeout 10 stat "$MNT/nowhere"
	expect_ge $(($(sim 'count?op=HEAD') + $(sim 'count?op=LIST'))) \
		$((heads + 2)) "requests that the store answered"
	rc=0
	timeout -s KILL 1 cat "$MNT/slow/f1" "$MNT/slow/f2" >"$W/o" 2>&1 || rc=$?
	expect_eq $rc 137 "exit of a reader that was killed"
	expect_eq "$(mount_stat "$MNT" "m['dir']")" "$MNT" "status"
	expect_eq "$(find "$W" -name 'got.*' -size +0 | wc -l)" 0 \
		"readers that had got anything"
	expect_ge "$(sim "running?$SIM_SLOW")" 4 "GETs that still wait"
	expect_eq "$(sim 'count?op=GET&key=slow/*&status=206')" 0 "GETs answered"

	sim 'release?rule=slow' ''
	i=0
	for p in $readers; do
		i=$((i + 1))
		wait "$p" || fail "reader $i: $(cat "$W/err.$i")"
		expect_eq "$(sha "$W/got.$i")" "$(sim_sha "slow/f$i")" "f$i"
		rm "$W/got.$i"
	done
	expect_fired slow 96
	umount_tarn
	sim clear ''
done
