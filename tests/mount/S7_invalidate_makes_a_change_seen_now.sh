# SPDX-License-Identifier: Apache-2.0
# S7: after tarn invalidate a file's or a tree's change is seen; what did not
# change is not fetched again.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put d/f 'size=300000&seed=1' >"$W/o"
sim_put d/same 'size=300000&seed=2' >"$W/o"
mount_tarn consistency=ttl:1h
sha "$MNT/d/f" "$MNT/d/same" >"$W/sum"
sim_put d/f 'size=300000&seed=3' >"$W/o"
"$TARN" invalidate "$MNT/d/f" >"$W/inv.out"
expect_eq "$(sha "$MNT/d/f")" "$(sim_sha d/f)" "a file invalidated"
sim_put d/f 'size=300000&seed=4' >"$W/o"
sim_put d/new 'size=1000&seed=5' >"$W/o"
"$TARN" invalidate "$MNT" >"$W/inv.out"
expect_eq "$(sha "$MNT/d/f")" "$(sim_sha d/f)" "a tree invalidated"
expect_eq "$(sha "$MNT/d/new")" "$(sim_sha d/new)" "a new file"
expect_eq "$(sha "$MNT/d/same")" "$(sim_sha d/same)" "an old file"
expect_eq "$(sim 'count?op=GET&key=d/same')" 1 "GETs of what did not change"
umount_tarn
