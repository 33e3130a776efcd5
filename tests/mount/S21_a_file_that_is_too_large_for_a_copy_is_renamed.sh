# SPDX-License-Identifier: Apache-2.0
# S21: a file that the store does not copy at once gets its new name by a copy
# in parts: no byte of it comes here, and nothing is left of the upload.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
make_file "$W/large" 26214400 1
make_file "$W/small" 100000 2
mount_tarn rw,part-size=5M
cp "$W/large" "$MNT/large"
cp "$W/small" "$MNT/there"
# AWS does so above 5 GiB.
sim settings '{"put_most": 10000000}'
sim forget ''

mv "$MNT/large" "$MNT/there"
expect_ge "$(sim 'count?op=COPY&status=400')" 1 "copies that were refused"
expect_eq "$(sim 'count?op=PART_COPY&status=200')" 5 "parts that were copied"
expect_eq "$(sim 'count?op=PART')" 0 "parts that were sent"
expect_eq "$(sim 'count?op=GET')" 0 "reads"
expect_eq "$(sim_sha there)" "$(sha "$W/large")"
expect_eq "$(sim 'head?bucket=bucket&key=large' | grep -c size)" 0 "large in the store"
cmp "$W/large" "$MNT/there"
[ ! -e "$MNT/large" ] || fail "large is still there"

# It fails half way: all is as it was.
sim_rule '{"name":"no","op":"PART_COPY","nth":3,"status":403,"code":"AccessDenied"}'
if mv "$MNT/there" "$MNT/else" 2>"$W/err"; then
	fail "moved without the right to"
fi
grep -q 'Permission denied' "$W/err"
expect_fired no
sim clear ''
cmp "$W/large" "$MNT/there"
[ ! -e "$MNT/else" ] || fail "it is there half moved"
# Nor is its name one whose file failed.
cp "$W/small" "$MNT/else"
cmp "$W/small" "$MNT/else"
no_uploads() { [ "$(sim uploads)" = 0 ]; }
wait_for 20 no_uploads

# The daemon dies in the middle of it.
umount_tarn
TARN_CRASH_AT=part-sent:3 mount_tarn rw,part-size=5M
pid=$(mount_pid)
if mv "$MNT/there" "$MNT/new" 2>"$W/err"; then
	fail "moved by the dead"
fi
wait_for 20 no_process "$pid"
expect_ge "$(sim uploads)" 1 "uploads of the dead"
mount_tarn rw
wait_for 20 no_uploads
expect_eq "$("$TARN" recover --staging-dir "$W/staging")" "nothing is to be recovered"
umount_tarn
expect_eq "$(find "$W/staging" -mindepth 2 -type f | wc -l)" 0 "files left in the staging"
