# SPDX-License-Identifier: Apache-2.0
# A load whose store does not answer any more survives its command, is
# cancelled by umount, and does not hold it up.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
for n in 1 2 3; do
	sim_put d/$n 'size=3000000&seed=3' >"$W/o"
done
mount_tarn read-timeout=10m,stall-timeout=10m
ls -l "$MNT/d" >"$W/ls"
sim_rule '{"name":"silent","op":"GET","hold":true}'
"$TARN" load "$MNT/d" >"$W/out" 2>&1 9>&- &
load=$!
arrived() {
	[ "$(sim 'count?op=GET')" -ge 1 ]
}
wait_for 20 arrived
kill -TERM $load
wait $load || true
"$TARN" load "$MNT/d" >"$W/out" 2>"$W/err" 9>&- &
load=$!
running() {
	[ "$(curl -s --unix-socket "$(control_socket)" http://tarn/-/load/2 |
		python3 -c 'import json, sys
print(json.load(sys.stdin)["state"])')" = running ]
}
control_socket() {
	for s in "$XDG_RUNTIME_DIR/tarn/$(mount_pid)"-*.sock \
		"/run/tarn/$(mount_pid)"-*.sock; do
		[ ! -S "$s" ] || echo "$s"
	done
}
wait_for 20 running
began=$(date +%s)
umount_tarn
expect_le $(($(date +%s) - began)) 30 "seconds, of ten minutes' deadlines"
rc=0
wait $load || rc=$?
expect_eq $rc 1 "exit of the load"
expect_fired silent
