# SPDX-License-Identifier: Apache-2.0
# A4: the connection is reset after 1, 4095, 4096 and 1M bytes; again and
# again too: the reader gets every byte.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
for n in 1 4095 4096 1048576; do
	sim_put f$n "size=9000000&seed=$n" >"$W/o"
	sim_put s$n "size=900000&seed=$n" >"$W/o"
	sim_rule '{"name":"rst'$n'","op":"GET","key":"?'$n'","count":3,
		"after_bytes":'$n',"then":"rst"}'
done
sim_put often 'size=9000000&seed=7' >"$W/o"
sim_rule '{"name":"often","op":"GET","key":"often","probability":0.5,"seed":3,
	"after_bytes":300000,"then":"rst"}'
mount_tarn
for n in 1 4095 4096 1048576; do
	expect_eq "$(sha "$MNT/f$n")" "$(sim_sha f$n)" "reset after $n bytes"
	expect_eq "$(sha "$MNT/s$n")" "$(sim_sha s$n)" "small, after $n bytes"
	expect_fired rst$n
done
expect_eq "$(sha "$MNT/often")" "$(sim_sha often)" "reset often"
expect_fired often
umount_tarn
