# SPDX-License-Identifier: Apache-2.0
# A16, F8: wrong keys fail the mount with the store's own words; one object
# that may not be read is EACCES, asked for once or twice, never a storm.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put f 'size=1000&seed=1' >"$W/o"
refused() { # EXPECTED-CODE
	if "$TARN" mount "$SOURCE" "$MNT" -o "cache-dir=$CACHE,$STORE_OPTS" \
		>"$W/out" 2>&1; then
		fail "mounted with wrong keys"
	fi
	grep -q "$1" "$W/out" || fail "wanted $1: $(cat "$W/out")"
	expect_eq "$(wc -l <"$W/out")" 1 "lines of the message"
	! mounts_here | grep -q . || fail "left mounted"
	! grep -qE 'tarnsecret|wrongsecret|Signature=' "$W/out" || fail "a secret"
}
AWS_SECRET_ACCESS_KEY=wrongsecret
refused SignatureDoesNotMatch
AWS_SECRET_ACCESS_KEY=tarnsecret AWS_ACCESS_KEY_ID=nobody
refused InvalidAccessKeyId
AWS_ACCESS_KEY_ID=tarn
expect_le "$(sim count)" 8 "requests of two refused mounts"
mount_tarn
ls -l "$MNT" >"$W/ls"
sim_rule '{"name":"denied","op":"GET","key":"f","status":403,"code":"AccessDenied"}'
sim forget ''
expect_errno EACCES cat "$MNT/f"
expect_le "$(sim count)" 3 "requests for a refused object"
expect_fired denied
sim clear ''
expect_eq "$(sha "$MNT/f")" "$(sim_sha f)" "once allowed"
umount_tarn
