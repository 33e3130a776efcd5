# SPDX-License-Identifier: Apache-2.0
# R1: a small file that a listing has shown costs one GET, no HEAD, no LIST,
# with ls, stat, open, read and close.
# stores: objsim versitygw
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
mkdir -p "$W/src/d"
for n in 0 1 2 3 4 5 6 7 8 9; do
	make_file "$W/src/d/$n" $((n * 100000)) $n
done
store_put_tree "$W/src"
# The tests' own PUTs may have cost requests.
gets=$(store_count GET)
mount_tarn
ls -l "$MNT/d" >"$W/ls"
heads=$(store_count HEAD) lists=$(store_count LIST)
for n in 0 1 2 3 4 5 6 7 8 9; do
	stat -c %s "$MNT/d/$n" >"$W/size"
	cmp "$W/src/d/$n" "$MNT/d/$n"
done
expect_le "$(($(store_count GET) - gets))" 10 "GETs of ten files"
expect_ge "$(($(store_count GET) - gets))" 9 "GETs of ten files, one empty"
expect_eq "$(($(store_count HEAD) - heads))" 0 HEADs
expect_eq "$(($(store_count LIST) - lists))" 0 LISTs
# The listing of a directory of ten is one request.
expect_le "$lists" 4 "LISTs of a mount and two directories"
umount_tarn
