# SPDX-License-Identifier: Apache-2.0
# B10: the cache directory is deleted, or moved away, while mounted: reads go
# on, nothing is written elsewhere, and it is used again.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
for n in 1 2 3 4 5 6; do
	sim_put f$n "size=2000000&seed=$n" >"$W/o"
done
mount_tarn
expect_eq "$(sha "$MNT/f1")" "$(sim_sha f1)"
exec 3<"$MNT/f1"
rm -rf "$CACHE"
expect_eq "$(sha "$MNT/f1")" "$(sim_sha f1)" "after rm -rf"
expect_eq "$(sha "$MNT/f2")" "$(sim_sha f2)" "after rm -rf"
expect_eq "$(sha /dev/fd/3)" "$(sim_sha f1)" "an open file"
exec 3<&-
again() {
	drop_caches
	cat "$MNT/f3" "$MNT/f4" >"$W/o" && [ -d "$CACHE/v1" ] &&
		[ -n "$(cached_files +1000k)" ]
}
wait_for 40 again
mv "$CACHE" "$W/moved"
expect_eq "$(sha "$MNT/f5")" "$(sim_sha f5)" "after mv"
drop_caches
expect_eq "$(sha "$MNT/f3")" "$(sim_sha f3)" "after mv"
umount_tarn
