# SPDX-License-Identifier: Apache-2.0
# E6 for workers: in a cgroup that allows too few threads a worker does not
# start, says so in a sentence and leaves nothing; one that started goes on with
# the threads that it has.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
start_store
for i in 1 2 3 4 5 6 7 8; do
	sim_put f$i "size=$((i * 400000))&seed=$i" >"$W/o"
done
own_cgroup pids
TARN_WRAP="timeout 60 $W/in-group"
(umask 077 && echo "$CLUSTER_KEY" >"$W/cluster.key")
mkdir -m 700 "$W/worker"
serves() {
	n=$((n + 1))
	echo $n >"$group/pids.max"
	timeout 60 "$W/in-group" "$TARN" worker "$SOURCE" -o \
		"listen=127.0.0.1:0,cluster-key-file=$W/cluster.key,cache-dir=$W/worker,log=$W/worker.log,$STORE_OPTS" \
		>"$W/worker.out" 2>&1 9>&-
}
n=0
until serves; do
	grep -q '^tarn: ' "$W/worker.out" || fail "$n processes: no word of it"
	expect_eq "$(grep -vc '^tarn: ' "$W/worker.out")" 0 "$n processes: other lines"
	expect_eq "$(cat "$group/pids.current")" 0 "left running with $n"
	[ $n -lt 60 ] || fail "$(cat "$W/worker.out")"
done
expect_ge $n 4 "processes that it needs"
at_exit stop_worker
WORKER=http://$(sed -n 's/^  listen *//p' "$W/worker.out")
refused() { awk '$1 == "max" { print $2 }' "$group/pids.events"; }
before=$(refused)
clients=
for i in 1 2 3 4 5 6 7 8; do
	worker_curl /bucket/f$i -f -o "$W/f$i" &
	clients="$clients $!"
done
# shellcheck disable=SC2086 # several
wait $clients
for i in 1 2 3 4 5 6 7 8; do
	expect_eq "$(sha "$W/f$i")" "$(sim_sha f$i)" "f$i"
done
expect_ge "$(refused)" $((before + 1)) "threads refused"
stop_worker
