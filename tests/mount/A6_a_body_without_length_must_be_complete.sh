# SPDX-License-Identifier: Apache-2.0
# A6: no Content-Length, the body ends with the connection: taken only when
# its version and length are those asked for.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put whole 'size=900000&seed=1' >"$W/o"
sim_put cut 'size=900000&seed=2' >"$W/o"
sim_rule '{"name":"whole","op":"GET","key":"whole","no_length":true}'
sim_rule '{"name":"cut","op":"GET","key":"cut","count":2,"no_length":true,
	"after_bytes":400000,"then":"fin"}'
sim_put ever 'size=900000&seed=3' >"$W/o"
sim_rule '{"name":"ever","op":"GET","key":"ever","no_length":true,
	"after_bytes":0,"then":"fin"}'
mount_tarn read-timeout=2s
ls -l "$MNT" >"$W/ls"
expect_eq "$(sha "$MNT/whole")" "$(sim_sha whole)" "without a length"
expect_fired whole
expect_eq "$(sha "$MNT/cut")" "$(sim_sha cut)" "cut short"
expect_fired cut
if cat "$MNT/ever" >"$W/out" 2>"$W/err"; then
	fail "read what never came"
fi
expect_eq "$(stat -c %s "$W/out")" 0 "bytes given out"
umount_tarn
