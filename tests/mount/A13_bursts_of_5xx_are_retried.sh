# SPDX-License-Identifier: Apache-2.0
# A12, A13: 500, 502, 503, 504 and 429 in bursts are retried, also under a
# storm of them; for ever they are ETIMEDOUT, and over when they are over.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
for s in 500 502 503 504 429 408; do
	sim_put d/f$s "size=900000&seed=$s" >"$W/o"
	sim_rule '{"name":"get'$s'","op":"GET","key":"d/f'$s'","count":2,"status":'$s'}'
	sim_rule '{"name":"list'$s'","op":"LIST","count":1,"status":'$s'}'
done
mount_tarn read-timeout=20s
ls -l "$MNT/d" >"$W/ls"
for s in 500 502 503 504 429 408; do
	expect_eq "$(sha "$MNT/d/f$s")" "$(sim_sha "d/f$s")" "$s"
	expect_fired get$s 2
done
expect_fired list500
sim clear ''
sim_rule '{"name":"storm","probability":0.5,"seed":5,"status":503,"code":"SlowDown"}'
i=0
while [ $i -lt 20 ]; do
	sim_put "storm/$i" "size=100000&seed=$i" >"$W/o"
	i=$((i + 1))
done
i=0
while [ $i -lt 20 ]; do
	expect_eq "$(sha "$MNT/storm/$i")" "$(sim_sha storm/$i)" "in the storm"
	i=$((i + 1))
done
expect_fired storm 5
sim clear ''
sim_put d/ever 'size=1000&seed=1' >"$W/o"
umount_tarn
mount_tarn read-timeout=2s,metadata-timeout=2s
ls "$MNT/d" >"$W/ls"
sim_rule '{"name":"ever","key":"d/ever","status":503}'
expect_errno ETIMEDOUT cat "$MNT/d/ever"
expect_fired ever 2
sim clear ''
expect_eq "$(sha "$MNT/d/ever")" "$(sim_sha d/ever)" "after the fault"
umount_tarn
