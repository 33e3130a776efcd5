# SPDX-License-Identifier: Apache-2.0
# F8: a bucket whose readers pay refuses who does not agree to; with
# requester-pays everything is asked for in that way.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put d/f 'size=100000&seed=1' >"$W/o"
sim_put d/big 'size=3000000&seed=2' >"$W/o"
sim settings '{"payer":true}' >"$W/o"
set +e
timeout 60 "$TARN" mount "$SOURCE" "$MNT" -o "cache-dir=$CACHE,$STORE_OPTS" >"$W/out" 2>&1
rc=$?
set -e
expect_eq "$rc" 1 "exit: $(cat "$W/out")"
grep -q 'AccessDenied' "$W/out" || fail "no reason: $(cat "$W/out")"
mount_tarn requester-pays
expect_eq "$(sha "$MNT/d/f")" "$(sim_sha d/f)"
stat "$MNT/d/big" >"$W/o"
ls "$MNT/d" >"$W/o"
expect_eq "$(sha "$MNT/d/big")" "$(sim_sha d/big)"
expect_eq "$(sim 'count?status=403')" 1 "refusals, of the first mount"
umount_tarn
