# SPDX-License-Identifier: Apache-2.0
# A7: a Content-Length that lies, two that differ, chunked and a length: the
# connection is given up, the bytes are fetched again, never mixed.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
mount_tarn consistency=strict,read-timeout=2s,metadata-timeout=2s,stall-timeout=500ms
expect_refused longer '"length_add":7'
expect_refused shorter '"length_add":-7'
expect_refused two '"two_lengths":true'
expect_refused smuggled '"chunked_and_length":true'
umount_tarn
