# SPDX-License-Identifier: Apache-2.0
# D5: two mounts were given lists of workers that overlap in part, and read and
# overwrite what they read at once: all bytes are right. The view of the ring is
# told by status and metrics, and is the same where the workers are the same.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
for n in 1 2 3 4; do
	start_worker -n w$n
	eval "w$n=\${WORKER#http://}"
done
# shellcheck disable=SC2154 # set by eval
with() { # MOUNT WORKERS
	mkdir -m 700 "$W/cache.$1"
	CACHE_DIR=$W/cache.$1 mount_tarn -n "$1" \
		"workers=$2,cluster-key-file=$W/cluster.key,prefetch=off,consistency=ttl:2s"
}
# shellcheck disable=SC2154 # set by eval
{
	with a "$w1+$w2+$w3"
	with b "$w3+$w2+$w4"
	with c "$w3+$w1+$w2"
}
put_all() { # VERSION
	: >"$W/want"
	n=0
	while [ $n -lt 30 ]; do
		sim_put d/f$n "size=$((20000 + n))&seed=$n$1" >"$W/o"
		echo "$(sim_sha d/f$n)  d/f$n" >>"$W/want"
		n=$((n + 1))
	done
	sim_put large "size=3000000&seed=$1" >"$W/o"
	echo "$(sim_sha large)  large" >>"$W/want"
}
read_all() {
	readers=
	for m in a b c; do
		python3 "$HELPERS/epoch.py" "$W/$m" "$W/want" "$W/progress.$m" >"$W/said.$m" 2>&1 &
		readers="$readers $!"
	done
	for p in $readers; do
		wait "$p" || fail "$1: $(cat "$W/said.a" "$W/said.b" "$W/said.c")"
	done
}
put_all 1
read_all 'the first version'
put_all 2
sleep 2.1 # as long as names are believed
read_all 'the second version'

view() { mount_stat "$W/$1" "m['ring']['view']"; }
expect_eq "$(view a | wc -c)" 17 "bytes of a view"
[ "$(view a)" != "$(view b)" ] || fail "two views are the same"
expect_eq "$(view a)" "$(view c)" "views of the same workers"
for m in a b; do
	sock=$(find /run/tarn "$XDG_RUNTIME_DIR" -name "$(mount_pid $m)-*.sock" 2>/dev/null)
	curl -fsS --unix-socket "$sock" http://tarn/-/metrics >"$W/metrics"
	grep -qx "tarn_ring_info{view=\"$(view $m)\"} 1" "$W/metrics" ||
		fail "$m: $(grep ring "$W/metrics")"
	grep -qx 'tarn_ring_workers 3' "$W/metrics"
	expect_ge "$(counter $m peer_bytes_in)" 3000000 "bytes of workers that $m got"
	no_errors $m
	umount_tarn $m
done
umount_tarn c
