# SPDX-License-Identifier: Apache-2.0
# B1: the disk of the cache is filled by others: reads go on, and are kept
# again when there is room.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
small_disk 60
start_store
for n in 1 2 3 4; do
	sim_put f$n "size=9000000&seed=$n" >"$W/o"
	sim_put s$n "size=300000&seed=$n" >"$W/o"
done
mount_tarn
expect_eq "$(sha "$MNT/f1")" "$(sim_sha f1)" "before"
# Twice: the first file may stop short of the last blocks.
dd if=/dev/zero of="$W/disk/fill" bs=64K 2>"$W/dd" || true
dd if=/dev/zero of="$W/disk/fill2" bs=4K 2>>"$W/dd" || true
grep -q 'No space left' "$W/dd" || fail "the disk was not full"
for n in 1 2 3 4; do
	expect_eq "$(sha "$MNT/f$n")" "$(sim_sha f$n)" "f$n, disk full"
	expect_eq "$(sha "$MNT/s$n")" "$(sim_sha s$n)" "s$n, disk full"
done
drop_caches
for n in 1 2 3 4; do
	expect_eq "$(sha "$MNT/f$n")" "$(sim_sha f$n)" "f$n, again"
done
rm "$W/disk/fill" "$W/disk/fill2"
sync
kept() {
	drop_caches
	cat "$MNT/s4" >"$W/o"
	sim forget ''
	drop_caches
	cat "$MNT/s4" >"$W/o"
	[ "$(sim 'count?op=GET')" = 0 ]
}
wait_for 40 kept
umount_tarn
