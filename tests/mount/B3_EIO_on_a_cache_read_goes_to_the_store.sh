# SPDX-License-Identifier: Apache-2.0
# B3: blocks of cached files cannot be read: the bytes come from the store, a
# daemon that serves them itself shows no error, and the tier comes back.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
need_command filefrag
FAULTS=1
small_disk 100
start_store
sim_put large 'size=9000000&seed=1' >"$W/o"
sim_put small 'size=900000&seed=2' >"$W/o"
mount_tarn passthrough=off
sha "$MNT/large" "$MNT/small" >"$W/sum"
umount_tarn
sync
for f in $(cached_files +500k); do
	echo "read $(disk_range "$f") eio"
done >"$W/new"
expect_ge "$(wc -l <"$W/new")" 2 "cached files"
drop_caches
cp "$W/new" "$W/faults"
mount_tarn passthrough=off
expect_eq "$(sha "$MNT/large")" "$(sim_sha large)" "large, disk failing"
expect_eq "$(sha "$MNT/small")" "$(sim_sha small)" "small, disk failing"
expect_ge "$(stat -c %s "$W/faults.fired")" 1 "faults of the disk"
: >"$W/faults"
drop_caches
expect_eq "$(sha "$MNT/large")" "$(sim_sha large)" "after the fault"
well() { [ "$(mount_stat "$MNT" "m['ssd'][0]['state']")" = ok ]; }
wait_for 60 well
umount_tarn
