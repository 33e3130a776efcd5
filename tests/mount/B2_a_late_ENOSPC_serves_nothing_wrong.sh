# SPDX-License-Identifier: Apache-2.0
# B2: writeback fails late (a sparse image on a full tmpfs): what the disk lost
# is seen by its checksum and fetched again.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
need_root "a tmpfs"
mkdir -p "$W/tmpfs"
mount -t tmpfs -o size=24m none "$W/tmpfs"
DISK_IMAGE=$W/tmpfs/image
# Without a journal, whose failure would make the disk read-only.
DISK_OPTIONS="-O ^has_journal"
small_disk 300
start_store
for n in 1 2 3 4 5 6; do
	sim_put f$n "size=9000000&seed=$n" >"$W/o"
done
mount_tarn passthrough=off
for n in 1 2 3 4 5 6; do
	expect_eq "$(sha "$MNT/f$n")" "$(sim_sha f$n)" "first read of f$n"
done
sync || true
drop_caches
expect_le "$(df --output=avail -k "$W/tmpfs" | tail -n 1)" 64 "KiB left below the image"
for n in 1 2 3 4 5 6; do
	expect_eq "$(sha "$MNT/f$n")" "$(sim_sha f$n)" "second read of f$n"
done
# The same by a daemon that has verified nothing yet.
kill_tarn
mount_tarn passthrough=off
drop_caches
for n in 1 2 3 4 5 6; do
	expect_eq "$(sha "$MNT/f$n")" "$(sim_sha f$n)" "f$n after a restart"
done
umount_tarn
