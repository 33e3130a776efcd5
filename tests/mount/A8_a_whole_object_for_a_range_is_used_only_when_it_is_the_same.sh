# SPDX-License-Identifier: Apache-2.0
# A8: a 200 with the whole object for a range: its slice is right or the read
# is EIO; above 64 MiB it is not downloaded.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put f 'size=9000000&seed=1' >"$W/o"
sim_put other 'size=9000000&seed=2' >"$W/o"
sim_put huge 'size=200000000&seed=3' >"$W/o"
sim_rule '{"name":"whole","op":"GET","key":"f","whole":true}'
sim_rule '{"name":"other","op":"GET","key":"other","whole":true,"etag":"\"no\""}'
sim_rule '{"name":"huge","op":"GET","key":"huge","whole":true}'
mount_tarn read-timeout=2s
tail -c 1000 "$MNT/f" >"$W/tail"
curl -fsS "$SIM/_sim/get?bucket=bucket&key=f" | tail -c 1000 | cmp - "$W/tail"
expect_eq "$(sha "$MNT/f")" "$(sim_sha f)" "slices of the whole"
expect_fired whole
if tail -c 1000 "$MNT/other" >"$W/out" 2>"$W/err"; then
	fail "took a slice of another version"
fi
expect_fired other
expect_errno EIO tail -c 1000 "$MNT/huge"
expect_fired huge
expect_le "$(sim 'bytes?op=GET&key=huge')" 100000000 "bytes of it that were taken"
umount_tarn
