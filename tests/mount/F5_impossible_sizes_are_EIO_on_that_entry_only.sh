# SPDX-License-Identifier: Apache-2.0
# F5: sizes above 2^63, negative, no number or absent: that entry is EIO, its
# neighbours are well.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put d/a-good 'size=1000&seed=1' >"$W/o"
sim_put d/b 'size=10&size_text=9223372036854775808' >"$W/o"
sim_put d/c 'size=10&size_text=18446744073709551616' >"$W/o"
sim_put d/e 'size=10&size_text=-1' >"$W/o"
sim_put d/f 'size=10&size_text=ten' >"$W/o"
sim_put d/big 'size=9223372036854775807' >"$W/o"
sim_put d/z-good 'size=1000&seed=2' >"$W/o"
mount_tarn metadata-timeout=5s,read-timeout=5s
ls "$MNT/d" >"$W/ls"
for good in a-good z-good; do
	expect_eq "$(sha "$MNT/d/$good")" "$(sim_sha d/$good)"
done
for bad in b c e f; do
	expect_errno EIO cat "$MNT/d/$bad"
done
expect_eq "$(stat -c %s "$MNT/d/big")" 9223372036854775807
tail -c 8 "$MNT/d/big" >"$W/tail" || true
sim_put nolength 'size=10&seed=1' >"$W/o"
sim_rule '{"name":"nolength","op":"HEAD","key":"nolength","no_length":true}'
sim_rule '{"name":"nolist","op":"GET","key":"nolength","no_length":true}'
umount_tarn
mount_tarn metadata-timeout=5s,read-timeout=5s,consistency=strict
cat "$MNT/nolength" >"$W/out" 2>&1 || true
expect_eq "$(sha "$MNT/d/a-good")" "$(sim_sha d/a-good)"
umount_tarn
