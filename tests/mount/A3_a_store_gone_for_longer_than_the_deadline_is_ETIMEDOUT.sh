# SPDX-License-Identifier: Apache-2.0
# A3: the store takes requests and never answers: ETIMEDOUT, no reader in
# state D, and the next access tries afresh.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put f 'size=100000&seed=1' >"$W/o"
sim_rule '{"name":"hole","key":"f","op":"GET","after_bytes":0,"then":"stall"}'
mount_tarn read-timeout=3s,metadata-timeout=3s,stall-timeout=500ms
ls -l "$MNT" >"$W/ls"
expect_errno ETIMEDOUT cat "$MNT/f"
expect_fired hole
sim clear ''
expect_eq "$(sha "$MNT/f")" "$(sim_sha f)" "after the fault"
sim_put g 'size=1000000&seed=2' >"$W/o"
sim_rule '{"name":"hole2","key":"g","op":"GET","after_bytes":10,"then":"stall"}'
"$TARN" invalidate "$MNT" >"$W/o"
cat "$MNT/g" >"$W/out" 2>&1 &
reader=$!
fired() { [ "$(sim_fired hole2)" -ge 1 ]; }
wait_for 20 fired
kill -9 $reader
wait_for 10 no_process $reader
sim clear ''
expect_eq "$(sha "$MNT/g")" "$(sim_sha g)" "after the fault"
umount_tarn
