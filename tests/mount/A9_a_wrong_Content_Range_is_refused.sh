# SPDX-License-Identifier: Apache-2.0
# A9: a 206 whose Content-Range is absent, shifted, too large or garbage (small
# objects are asked for without a range).
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
mount_tarn consistency=strict,read-timeout=2s,metadata-timeout=2s,stall-timeout=500ms
# Small files are asked for whole, without a range.
REFUSED_SIZES='1100000 9000000'
expect_refused absent '"content_range":"absent"'
expect_refused shifted '"content_range":"shifted"'
expect_refused oversize '"content_range":"oversize"'
expect_refused garbage '"content_range":"bytes x-y/z"'
expect_refused negative '"content_range":"bytes -5-10/100"'
expect_refused huge '"content_range":"bytes 0-99999999999999999999999/99999999999999999999999"'
umount_tarn
