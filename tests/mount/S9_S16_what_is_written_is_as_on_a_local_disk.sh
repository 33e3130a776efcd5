# SPDX-License-Identifier: Apache-2.0
# S9 to S12, S15, S16, S19 to S22: every pattern of writing gives what a local
# directory gives, call by call; and a mount on another cache, which knows
# nothing of it, finds the same bytes in the store.
# stores: file objsim versitygw minio
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
mkdir "$W/twin"
mount_tarn rw
timeout 120 python3 "$HELPERS/writes.py" "$MNT" "$W/twin"
CACHE_DIR=$W/cache2 mount_tarn -n other
diff -r "$W/twin" "$W/other"
no_errors mnt
umount_tarn
umount_tarn other
[ -z "$(find "$W/staging" -mindepth 2 -type f)" ] || fail "left: $(find "$W/staging" -type f)"
# What this mount wrote is its cache's already.
mount_tarn
diff -r "$W/twin" "$MNT"
umount_tarn
