# SPDX-License-Identifier: Apache-2.0
# R3, T1 with passthrough=off: all bytes come by the daemon.
# stores: file objsim
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
mkdir -p "$W/src/dir"
i=0
for size in 0 1 65535 65536 65537 1048576 1048577 8388625; do
	i=$((i + 1))
	make_file "$W/src/dir/f$size" $size $i
done
store_put_tree "$W/src"
mount_tarn passthrough=off,memory=64M
python3 "$HELPERS/reads.py" all "$W/src" "$MNT"
drop_caches
python3 "$HELPERS/reads.py" all "$W/src" "$MNT"
expect_eq "$(mount_stat "$MNT" "m['passthrough']")" False
expect_eq "$(mount_stat "$MNT" "m['reads']['kernel_passthrough_opens']")" 0
expect_le "$(mount_stat "$MNT" "m['memory']['used']")" 67108864 "memory"
umount_tarn
