# SPDX-License-Identifier: Apache-2.0
# The kernel asks as soon as INIT is answered, which is before the daemon has
# tried passthrough. What is asked then must not find it off: the mount would
# say so, and the first file opened would do without. Here that takes a while.
# stores: file
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
make_file "$W/f" 1000 1
store_put f "$W/f"
mount_tarn
grep -q '^  passthrough *on' "$W/mnt.out" || skip "no passthrough"
umount_tarn
echo "open /sys/class/bdi/ 1 0 stall:500" >"$W/faults"
export FAULTIO="$W/faults"
TARN_WRAP="env LD_PRELOAD=$SHIMS/libfaultio.so"
mount_tarn
unset FAULTIO
expect_eq "$(stat -c %s "$W/faults.fired")" 1 "stalls"
grep -q '^  passthrough *on' "$W/mnt.out" || fail "$(cat "$W/mnt.out")"
umount_tarn
