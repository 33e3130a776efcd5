# SPDX-License-Identifier: Apache-2.0
# S1, S3, S5, S6, A27: within the time nothing is asked, after it the change
# is seen; bytes of two versions never mix.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put d/f 'size=300000&seed=1' >"$W/o"
sim_put d/g 'size=300000&seed=2' >"$W/o"
mount_tarn consistency=ttl:1h,negative-ttl=1h
old=$(sha "$MNT/d/f")
expect_eq "$old" "$(sim_sha d/f)"
expect_errno ENOENT cat "$MNT/d/none"
sim_put d/f 'size=300001&seed=3' >"$W/o"
sim_put d/none 'size=10&seed=3' >"$W/o"
expect_eq "$(sha "$MNT/d/f")" "$old" "within the ttl"
expect_eq "$(stat -c %s "$MNT/d/f")" 300000
expect_errno ENOENT cat "$MNT/d/none"
umount_tarn
mount_tarn consistency=ttl:1s,negative-ttl=100ms
sha "$MNT/d/f" >"$W/sum"
sim_put d/f 'size=300002&seed=4' >"$W/o"
seen() { [ "$(stat -c %s "$MNT/d/f")" = 300002 ]; }
wait_for 20 seen
expect_eq "$(sha "$MNT/d/f")" "$(sim_sha d/f)" "after the ttl"
sim_put d/later 'size=10&seed=3' >"$W/o"
wait_for 20 test -s "$MNT/d/later"
sim 'delete?bucket=bucket&key=d/later' ''
later() { ! cat "$MNT/d/later"; }
wait_for 20 later
umount_tarn
