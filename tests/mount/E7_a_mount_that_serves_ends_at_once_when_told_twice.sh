# SPDX-License-Identifier: Apache-2.0
# E7 of a mount with serve=: what was begun for others is answered before it
# ends, and who says it twice does not wait for that.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put big 'size=200000000&seed=1' >"$W/o"
make_cluster_key
port=$(free_port)
mount_tarn "serve=127.0.0.1:$port,cluster-key-file=$W/cluster.key"
pid=$(mount_pid)
WORKER=http://127.0.0.1:$port
worker_curl /bucket/big --limit-rate 100K --max-time 12 -o "$W/got" 2>"$W/curl.err" &
reader=$!
has_bytes() { [ -s "$W/got" ]; }
wait_for 20 has_bytes
kill -TERM "$pid"
is_unmounted() { grep -q 'is unmounted' "$W/mnt.log"; }
wait_for 20 is_unmounted
kill -TERM "$pid"
wait_for 20 no_process "$pid"
wait "$reader" || true
expect_eq "$(grep -c 'told to end' "$W/mnt.log")" 2 "times that it was told"
