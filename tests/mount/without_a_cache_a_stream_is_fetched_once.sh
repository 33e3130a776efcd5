# SPDX-License-Identifier: Apache-2.0
# Without an SSD what is fetched ahead of a reader is in memory only: it is
# there when the reader comes, and not fetched again.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put f 'size=240000000&seed=9' >"$W/o"
mount_tarn cache-size=0,memory=64M
expect_eq "$(sha "$MNT/f")" "$(sim_sha f)"
expect_le "$(sim 'bytes?op=GET')" 280000000 "bytes sent"
umount_tarn
