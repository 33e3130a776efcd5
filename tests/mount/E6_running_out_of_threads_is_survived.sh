# SPDX-License-Identifier: Apache-2.0
# E6: no thread can be had, in a cgroup that allows no more: a mount that could
# not be served is refused with the reason; one that runs goes on with the
# threads that it has, and makes more once it may.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
own_cgroup pids
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	for k in a b; do
		sim_put "$k$i" "size=$((i % 3 * 1500000 + 70000))&seed=$i" >"$W/o"
	done
	sim_sha "a$i" >"$W/want.$i"
done
# One process more each time, until it mounts.
n=0
mounts() {
	n=$((n + 1))
	echo $n >"$group/pids.max"
	timeout 60 "$TARN_WRAP" "$TARN" mount "$SOURCE" "$MNT" -o \
		"cache-dir=$CACHE,passthrough=off,log=$W/mnt.log,$STORE_OPTS" \
		>"$W/out" 2>&1 9>&-
}
until mounts; do
	grep -q '^tarn: ' "$W/out" || fail "$n processes: no word of it"
	! mounts_here | grep -q . || fail "$n processes: left mounted"
	expect_eq "$(cat "$group/pids.current")" 0 "left running with $n"
	[ $n -lt 60 ] || fail "$(cat "$W/out")"
done
pid=$(mount_pid)
threads() { find "/proc/$pid/task" -mindepth 1 -maxdepth 1 | wc -l; }
read_all() { # A-OR-B: side by side
	readers=
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		{
			[ "$(timeout 60 cat "$MNT/$1$i" | sha -)" = \
				"$(cat "$W/want.$i")" ] || echo "$1$i" >>"$W/wrong"
		} &
		readers="$readers $!"
	done
	timeout 60 ls -l "$MNT" >"$W/ls"
	# shellcheck disable=SC2086 # several
	wait $readers
	[ ! -s "$W/wrong" ] || fail "wrong: $(cat "$W/wrong")"
}
refused() { awk '$1 == "max" { print $2 }' "$group/pids.events"; }
before=$(refused)
read_all a
expect_ge "$(refused)" $((before + 1)) "threads refused"
expect_le "$(threads)" "$n" "threads"
echo max >"$group/pids.max"
read_all b
expect_ge "$(threads)" $((n + 1)) "threads when there may be more"
expect_eq "$(mount_pid)" "$pid" "the daemon"
umount_tarn
