# SPDX-License-Identifier: Apache-2.0
# A9: a 206 whose Content-Range is absent, shifted, too large or garbage (small
# objects are asked for without a range).
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
mount_tarn consistency=strict,read-timeout=2s,metadata-timeout=2s,stall-timeout=500ms
# Each once (the retry is right) and for ever (an error, and nothing kept).
try() { # NAME RULE-MEMBERS
	for size in 1100000 9000000; do
		key=$1-$size
		sim_put "$key" "size=$size&seed=$size" >"$W/o"
		sim_put "$key-ever" "size=$size&seed=$size" >"$W/o"
		sim_rule '{"name":"'"$key"'","op":"GET","key":"'"$key"'","count":1,'"$2"'}'
		sim_rule '{"name":"'"$key"'-ever","op":"GET","key":"'"$key"'-ever",'"$2"'}'
		expect_eq "$(sha "$MNT/$key")" "$(sim_sha "$key")" "$key, once"
		expect_fired "$key"
		if cat "$MNT/$key-ever" >"$W/out" 2>"$W/err"; then
			fail "$key: read in spite of it"
		fi
		grep -qE 'Input/output|timed out' "$W/err" || fail "$key: $(cat "$W/err")"
		cmp -n "$(stat -c %s "$W/out")" "$W/out" "$MNT/$key"
		expect_fired "$key-ever"
		sim "clear?rule=$key-ever" ''
		expect_eq "$(sha "$MNT/$key-ever")" "$(sim_sha "$key-ever")" "$key, after the fault"
	done
}
try absent '"content_range":"absent"'
try shifted '"content_range":"shifted"'
try oversize '"content_range":"oversize"'
try garbage '"content_range":"bytes x-y/z"'
try negative '"content_range":"bytes -5-10/100"'
try huge '"content_range":"bytes 0-99999999999999999999999/99999999999999999999999"'
umount_tarn
