# SPDX-License-Identifier: Apache-2.0
# B13: cache-size=0 is no SSD tier; reads go on from the store.
# stores: file objsim
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
mkdir -p "$W/src"
for size in 0 1 65537 1048577 8388625; do
	make_file "$W/src/f$size" $size $size
done
store_put_tree "$W/src"
mount_tarn cache-size=0
python3 "$HELPERS/reads.py" all "$W/src" "$MNT"
expect_eq "$(find "$CACHE" -type f -size +64k | wc -l)" 0 "cached files"
umount_tarn
