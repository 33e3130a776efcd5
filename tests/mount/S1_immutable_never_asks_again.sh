# SPDX-License-Identifier: Apache-2.0
# S1: what this host once knew is not asked again, across mounts, until
# tarn invalidate (S7).
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put d/f 'size=300000&seed=1' >"$W/o"
mount_tarn consistency=immutable
ls -l "$MNT/d" >"$W/ls"
old=$(sha "$MNT/d/f")
umount_tarn
sim_put d/f 'size=300000&seed=2' >"$W/o"
mount_tarn consistency=immutable
sim forget ''
expect_eq "$(sha "$MNT/d/f")" "$old" "across mounts"
expect_eq "$(sim count)" 0 "requests of a second mount's read"
"$TARN" invalidate "$MNT/d" >"$W/inv.out"
expect_eq "$(sha "$MNT/d/f")" "$(sim_sha d/f)" "after invalidate"
umount_tarn
