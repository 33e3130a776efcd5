# SPDX-License-Identifier: Apache-2.0
# S22: programs make, write, append to and remove files in a directory, by a
# descriptor of it, while others rename it to and fro: no file is lost, none
# stays behind, none comes back. A new file that was renamed over one that the
# store has replaces that one in the directory's new place.
# stores: objsim file
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
mount_tarn rw
expect_ge "$(python3 "$HELPERS/moving.py" "$MNT" 8)" 5 "times it was moved"
no_errors mnt
umount_tarn
expect_eq "$(find "$W/staging" -mindepth 2 -type f)" "" "left in the staging"

for mode in sync writeback; do
	mount_tarn rw,commit=$mode
	python3 "$HELPERS/replacing.py" "$MNT/$mode"
	no_errors mnt
	umount_tarn
	expect_eq "$(find "$W/staging" -mindepth 2 -type f)" "" "left in the staging, $mode"
	CACHE_DIR=$W/c-$mode mount_tarn rw
	python3 "$HELPERS/replacing.py" "$MNT/$mode" again
	umount_tarn
done
