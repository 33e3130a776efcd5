# SPDX-License-Identifier: Apache-2.0
# B5: reads of the cache disk hang; the store answers in their place. The
# stall outlasts the test's deadline, so an answer came from elsewhere.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put large 'size=9000000&seed=1' >"$W/o"
sim_put small 'size=900000&seed=2' >"$W/o"
mount_tarn passthrough=off
large=$(sha "$MNT/large") small=$(sha "$MNT/small")
umount_tarn
: >"$W/faults"
export FAULTIO="$W/faults"
TARN_WRAP="env LD_PRELOAD=$SHIMS/libfaultio.so"
mount_tarn passthrough=off
unset FAULTIO
ls -l "$MNT" >"$W/ls"
drop_caches
echo "pread,read $CACHE/v1 1 0 stall:20000" >"$W/rule"
mv "$W/rule" "$W/faults"
timeout 15 cat "$MNT/small" >"$W/small" || fail "small: waited for the disk"
timeout 15 cat "$MNT/large" >"$W/large" || fail "large: waited for the disk"
expect_eq "$(sha "$W/small")" "$small"
expect_eq "$(sha "$W/large")" "$large"
expect_ge "$(stat -c %s "$W/faults.fired")" 1 "stalls"
: >"$W/rule"
mv "$W/rule" "$W/faults"
expect_eq "$(sha "$MNT/large")" "$large" "after the stall"
pid=$(mount_pid)
"$TARN" umount "$MNT"
wait_for 40 no_process "$pid"
