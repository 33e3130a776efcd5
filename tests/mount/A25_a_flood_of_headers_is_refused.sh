# SPDX-License-Identifier: Apache-2.0
# A25: ten thousand headers, interim answers without end, garbage in place of
# HTTP: refused within bounds, and all is well after it.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
mount_tarn consistency=strict,read-timeout=2s,metadata-timeout=2s
try() { # NAME RULE-MEMBERS
	expect_refused "$@" each
	expect_le "$(mount_stat "$MNT" "m['memory']['used']")" \
		"$(mount_stat "$MNT" "m['memory']['limit']")" "memory"
}
try flood '"flood":10000'
try interim '"interim":10000'
try garbage '"raw":"this is no HTTP\r\n\r\n"'
try hugeline '"headers":{"X-Long":"'"$(head -c 400000 /dev/zero | tr '\0' x)"'"}'
umount_tarn
