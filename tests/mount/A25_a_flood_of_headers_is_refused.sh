# SPDX-License-Identifier: Apache-2.0
# A25: ten thousand headers, interim answers without end, garbage in place of
# HTTP: the bytes or EIO, within bounds, and all is well after it.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
mount_tarn consistency=strict,read-timeout=5s,metadata-timeout=5s
try() { # NAME RULE-MEMBERS
	sim_put "$1" 'size=900000&seed=3' >"$W/o"
	printf '%s' '{"name":"'"$1"'","op":"GET","key":"'"$1"'",'"$2"'}' >"$W/rule"
	sim rules "@$W/rule"
	if cat "$MNT/$1" >"$W/out" 2>"$W/err"; then
		expect_eq "$(sha "$W/out")" "$(sim_sha "$1")" "$1"
	else
		grep -qE 'Input/output|timed out' "$W/err" || fail "$1: $(cat "$W/err")"
	fi
	expect_fired "$1"
	sim clear ''
	expect_eq "$(sha "$MNT/$1")" "$(sim_sha "$1")" "$1, after the fault"
	expect_le "$(mount_stat "$MNT" "m['memory']['used']")" \
		"$(mount_stat "$MNT" "m['memory']['limit']")" "memory"
}
try flood '"flood":10000'
try interim '"interim":10000'
try garbage '"raw":"this is no HTTP\r\n\r\n"'
try hugeline '"headers":{"X-Long":"'"$(head -c 400000 /dev/zero | tr '\0' x)"'"}'
umount_tarn
