# SPDX-License-Identifier: Apache-2.0
# A new daemon serves what an earlier one cached: listings are asked again,
# bytes are not, after a clean unmount and after kill -9.
# stores: objsim versitygw
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
mkdir -p "$W/src/d"
for n in 1 2 3 4 5; do
	make_file "$W/src/d/$n" 200000 $n
done
make_file "$W/src/d/big" 12345678
store_put_tree "$W/src"
mount_tarn
diff -r "$W/src" "$MNT"
umount_tarn
gets=$(store_count GET)
mount_tarn
diff -r "$W/src" "$MNT"
expect_eq "$(store_count GET)" "$gets" "GETs after a restart"
kill_tarn
mount_tarn
drop_caches
diff -r "$W/src" "$MNT"
expect_eq "$(store_count GET)" "$gets" "GETs after kill -9"
umount_tarn
