# SPDX-License-Identifier: Apache-2.0
# Told to end, a worker takes no new connection, answers what it has begun to
# its last byte, and exits 0. It does not wait for clients that have gone.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
start_store
sim_put a 'size=6000000&seed=1' >"$W/o"
(umask 077 && echo "$CLUSTER_KEY" >"$W/cluster.key")
mkdir -m 700 "$W/worker"
"$TARN" worker "$SOURCE" -f -o "listen=127.0.0.1:0,$STORE_OPTS,cache-dir=$W/worker,cluster-key-file=$W/cluster.key" \
	>"$W/worker.out" 2>"$W/worker.log" 9>&- &
worker=$!
wait_for 20 grep -q '^  listen' "$W/worker.out"
WORKER=http://$(sed -n 's/^  listen *//p' "$W/worker.out")
sim_rule '{"name":"gate","op":"GET","key":"a","hold":true}'
for n in 1 2 3; do
	! worker_curl /bucket/a -o "$W/gone" --max-time 0.3 2>"$W/o" || fail "not held"
done
worker_curl /bucket/a -o "$W/a" &
client=$!
all_wait() { [ "$(worker_status "w['requests']")" -eq 5 ]; } # and this
wait_for 20 all_wait
waiting() { [ "$(sim 'count?op=GET&key=a')" -ge 1 ]; }
wait_for 30 waiting
kill $worker
refused() { ! curl -s -o "$W/o" "$WORKER/-/health"; }
wait_for 20 refused
kill -0 $worker || fail "it did not wait for its client"
released=$(date +%s)
sim 'release?rule=gate' ''
wait $client
expect_eq "$(sha "$W/a")" "$(sim_sha a)" "what was begun"
code=0
wait $worker || code=$?
expect_eq $code 0 "exit code"
expect_le $(($(date +%s) - released)) 20 "seconds until the end"
