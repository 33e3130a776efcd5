# SPDX-License-Identifier: Apache-2.0
# The second epoch is served by the SSD and the kernel: no request at all.
# stores: file objsim versitygw minio
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
mkdir -p "$W/src/a" "$W/src/b"
for n in 1 2 3 4 5 6 7 8 9; do
	make_file "$W/src/a/$n" 110000 $n
done
make_file "$W/src/b/big" 20000000
store_put_tree "$W/src"
mount_tarn
diff -r "$W/src" "$MNT"
ops() {
	echo "$(store_count GET) $(store_count HEAD) $(store_count LIST)"
}
before=$(ops)
diff -r "$W/src" "$MNT"
expect_eq "$(ops)" "$before" "GET, HEAD and LIST after a second read"
drop_caches
diff -r "$W/src" "$MNT"
expect_eq "$(ops)" "$before" "GET, HEAD and LIST after a third read"
umount_tarn
