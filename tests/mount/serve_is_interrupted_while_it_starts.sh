# SPDX-License-Identifier: Apache-2.0
# A mount with serve= opens its source a second time, for the worker. A store
# that does not answer then keeps nobody from ending it.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put a 'size=1000&seed=1' >"$W/o"
sim_rule '{"name":"second","op":"LIST","nth":2,"delay_ms":100000}'
make_cluster_key
mkdir -p "$W/mnt"
"$TARN" mount "$SOURCE" "$W/mnt" -f -o "$STORE_OPTS,cache-dir=$CACHE,serve=127.0.0.1:0,cluster-key-file=$W/cluster.key,metadata-timeout=80s,log=$W/mnt.log" \
	>"$W/mnt.out" 2>&1 8>&- 9>&- &
pid=$!
at_exit "kill -9 $pid 2>/dev/null || true"
i=0
while [ "$(sim_fired second)" -lt 1 ]; do
	i=$((i + 1))
	expect_le $i 200 "looks for the second LIST"
	sleep 0.1
done
kill -TERM "$pid"
rc=0
wait "$pid" || rc=$?
expect_eq "$rc" 1 "exit"
grep -q 'interrupted; nothing is mounted' "$W/mnt.out" || fail "$(cat "$W/mnt.out")"
