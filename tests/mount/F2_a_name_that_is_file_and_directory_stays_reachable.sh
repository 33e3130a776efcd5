# SPDX-License-Identifier: Apache-2.0
# F2, N5: a and a/b; the twin comes and goes while files are open.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put a 'size=10&seed=1' >"$W/o"
mount_tarn consistency=strict
exec 3<"$MNT/a"
sim_put a/b 'size=20&seed=2' >"$W/o"
expect_eq "$(ls "$MNT" | tr '\n' ' ')" "%~=a a "
expect_eq "$(sha "$MNT/%~=a")" "$(sim_sha a)"
expect_eq "$(sha "$MNT/a/b")" "$(sim_sha a/b)"
expect_eq "$(sha /dev/fd/3)" "$(sim_sha a)" "the open file"
sim 'delete?bucket=bucket&key=a/b' ''
expect_eq "$(ls "$MNT")" a
expect_eq "$(sha "$MNT/a")" "$(sim_sha a)"
expect_errno ENOENT cat "$MNT/%~=a"
exec 3<&-
umount_tarn
