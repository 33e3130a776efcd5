# SPDX-License-Identifier: Apache-2.0
# S1, S3, S4 in strict: a new version, a new file and a removed one are seen
# by the next open; size and bytes are always of one version.
# stores: objsim versitygw
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
echo "first" >"$W/1"
echo "second, longer" >"$W/2"
store_put d/f "$W/1"
mount_tarn consistency=strict
cmp "$W/1" "$MNT/d/f"
store_put d/f "$W/2"
cmp "$W/2" "$MNT/d/f"
expect_eq "$(stat -c %s "$MNT/d/f")" 15
expect_errno ENOENT cat "$MNT/d/new"
store_put d/new "$W/1"
cmp "$W/1" "$MNT/d/new"
store_delete d/new
expect_errno ENOENT cat "$MNT/d/new"
umount_tarn
