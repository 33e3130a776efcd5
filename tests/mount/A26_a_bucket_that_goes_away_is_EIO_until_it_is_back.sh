# SPDX-License-Identifier: Apache-2.0
# A26: the bucket is deleted under the mount: EIO and not ENOENT, health red,
# what is cached goes on, the mount can be ended; when the bucket is back all
# is well without a restart.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
fill() {
	for n in 1 2 3; do
		sim_put d/f$n "size=200000&seed=$n" >"$W/o"
	done
}
fill
mount_tarn
socket=$(find /run/tarn "$XDG_RUNTIME_DIR" -name "$(mount_pid)-*.sock" 2>"$W/o" || true)
health() { curl -s --unix-socket "$socket" http://tarn/-/health; }
expect_eq "$(sha "$MNT/d/f1")" "$(sim_sha d/f1)"
was=$(sha "$MNT/d/f1")
ls "$MNT/d" >"$W/o"
sim 'rmbucket?name=bucket' ''
expect_errno EIO cat "$MNT/d/f2"
expect_errno EIO ls "$MNT/other"
expect_errno EIO stat "$MNT/new"
expect_eq "$(sha "$MNT/d/f1")" "$was" "what is cached"
expect_ge "$(sim 'count?status=404')" 2 "refusals"
red() { health | grep -q NoSuchBucket; }
wait_for 20 red
sim 'bucket?name=bucket' ''
fill
same() { [ "$(sha "$MNT/d/f2")" = "$(sim_sha d/f2)" ]; }
wait_for 20 same
green() { [ "$(health)" = ok ]; }
wait_for 30 green
expect_errno ENOENT stat "$MNT/new"
# And a mount whose bucket is gone can be ended.
sim 'rmbucket?name=bucket' ''
expect_errno EIO cat "$MNT/d/f3"
umount_tarn
