# SPDX-License-Identifier: Apache-2.0
# A24: LIST names what HEAD and GET do not know, and the other way round. A
# lookup believes HEAD, where a listing has not answered it (S5); a name that
# was listed may be gone; nothing crashes and all is well when they agree.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put d/ghost 'size=100000&seed=1' >"$W/o"
sim_put d/hidden 'size=100000&seed=2&not_listed=1' >"$W/o"
sim_put d/plain 'size=100000&seed=3' >"$W/o"
gone='{"name":"noget","op":"GET","key":"d/ghost","status":404,"code":"NoSuchKey"},
	{"name":"nohead","op":"HEAD","key":"d/ghost","status":404}'
sim_rule "[$gone]"
for consistency in strict ttl:1h; do
	CACHE_DIR=$W/cache-${consistency%:*}
	mount_tarn consistency=$consistency,negative-ttl=100ms
	# Before any listing: as HEAD says.
	expect_eq "$(sha "$MNT/d/hidden")" "$(sim_sha d/hidden)" "hidden, $consistency"
	expect_errno ENOENT stat "$MNT/d/ghost"
	expect_fired nohead
	expect_eq "$(ls "$MNT/d" | tr '\n' ' ')" "ghost plain " "$consistency"
	# After it a listed name may turn out to be gone.
	if cat "$MNT/d/ghost" >"$W/out" 2>"$W/err"; then
		fail "read what is not there"
	fi
	grep -qE 'No such file|Stale file' "$W/err" || fail "ghost: $(cat "$W/err")"
	ls -l "$MNT/d" >"$W/o" 2>&1 || true
	expect_eq "$(sha "$MNT/d/plain")" "$(sim_sha d/plain)" "plain, $consistency"
	[ $consistency != strict ] ||
		expect_eq "$(sha "$MNT/d/hidden")" "$(sim_sha d/hidden)" "hidden when listed"
	umount_tarn
done
expect_fired noget
sim clear ''
mount_tarn consistency=strict
expect_eq "$(sha "$MNT/d/ghost")" "$(sim_sha d/ghost)" "after the fault"
umount_tarn
