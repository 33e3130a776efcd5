# SPDX-License-Identifier: Apache-2.0
# D7: forty readers on four mounts, each with an SSD of its own, open the same
# cold objects at once while the store holds its answers: the store is asked for
# each once, and nobody fails. When the worker that fetches dies meanwhile, its
# readers get the bytes elsewhere.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put_files d/f 0 49 20000 1000
sim_put one 'size=3000000&seed=100' >"$W/o"
sim_put two 'size=3000000&seed=101' >"$W/o"
for f in one two d/f0 d/f49; do
	sim_sha $f >"$W/want.$(basename $f)"
done
workers=
for n in 1 2 3; do
	start_worker -n w$n
	workers=$workers${workers:++}${WORKER#http://}
done
for m in a b c d; do
	mkdir -m 700 "$W/cache.$m"
	CACHE_DIR=$W/cache.$m mount_tarn -n $m \
		"workers=$workers,cluster-key-file=$W/cluster.key,prefetch=off"
	# Names are known: what is measured is the bytes.
	find "$W/$m" >"$W/o"
done
herd() { # FILE...: begun by ten readers of each mount; sets readers
	readers=
	for m in a b c d; do
		python3 "$HELPERS/herd.py" "$W/$m" 10 "$@" >"$W/sums.$m" 2>"$W/err.$m" &
		readers="$readers $!"
	done
}
came_back() { # FILES
	for p in $readers; do
		wait "$p" || fail "a reader failed: $(cat "$W"/err.*)"
	done
	cat "$W"/sums.[abcd] | sort -u >"$W/sums"
	expect_eq "$(wc -l <"$W/sums")" "$1" "different answers"
}
right() { # NAME
	expect_eq "$(awk "\$2 ~ /(^|\\/)$1\$/ { print \$1 }" "$W/sums")" "$(cat "$W/want.$1")" "$1"
}
release() { sim "release?rule=gate-$1" ''; }
held() { [ "$(sim "count?op=GET&key=$1")" -ge 1 ]; }

sim_rule '{"name":"gate-one","op":"GET","key":"one","hold":true}'
herd one
wait_for 30 held one
sleep 2
release one
came_back 1
right one
expect_eq "$(sim 'bytes?op=GET&key=one')" 3000000 "bytes of one object, by $(sim 'count?op=GET&key=one') GETs"

sim_rule '{"name":"late","op":"GET","key":"d/*","delay_ms":800}'
# shellcheck disable=SC2046 # words
herd $(cd "$W/a" && echo d/*)
came_back 50
right f0
right f49
expect_eq "$(sim 'count?op=GET&key=d/*')" 50 "GETs of 50 objects"
expect_fired late 50
sim 'clear?rule=late' ''

# The one that all wait for is killed.
sim_rule '{"name":"gate-two","op":"GET","key":"two","hold":true,"count":1}'
herd two
wait_for 30 held two
most=0
for n in 1 2 3; do
	WORKER=http://$(sed -n 's/^  listen *//p' "$W/w$n.out")
	has=$(worker_status "w['requests']")
	[ "$has" -le "$most" ] || { most=$has && owner=w$n; }
done
expect_ge "$most" 2 "requests that wait for the store"
kill_worker "$owner"
came_back 1
right two
expect_ge "$(sim 'bytes?op=GET&key=two')" 3000000 "bytes of an object whose worker died"
expect_le "$(sim 'bytes?op=GET&key=two')" 9000000 "bytes of an object whose worker died"
errors=0
for m in a b c d; do
	errors=$((errors + $(counter $m peer_errors)))
	no_errors $m
done
expect_ge "$errors" 1 "failures that mounts saw"
release two
for m in a b c d; do
	umount_tarn $m
done
