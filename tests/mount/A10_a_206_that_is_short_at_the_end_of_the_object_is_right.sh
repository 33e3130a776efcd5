# SPDX-License-Identifier: Apache-2.0
# A10: sizes about a page and none: a range beyond the end is answered short,
# and that is the end of the file.
# stores: objsim versitygw minio
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
mkdir -p "$W/src"
for n in 0 1 4095 4096 4097 65535 65536 65537 131071 131073 1048575 1048577 8388607 8388609; do
	make_file "$W/src/$n" $n $n
done
store_put_tree "$W/src"
mount_tarn small-file=64K
for n in 0 1 4095 4096 4097 65535 65536 65537 131071 131073 1048575 1048577 8388607 8388609; do
	tail -c 100 "$MNT/$n" >"$W/t1"
	tail -c 100 "$W/src/$n" | cmp - "$W/t1"
	cmp "$W/src/$n" "$MNT/$n"
done
umount_tarn
