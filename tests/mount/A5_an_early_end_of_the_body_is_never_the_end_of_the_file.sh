# SPDX-License-Identifier: Apache-2.0
# A5: FIN before Content-Length: the rest is fetched, nothing is zeros. When
# it never comes, the read fails and nothing wrong is kept.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
for n in 0 1 65536 500000; do
	sim_put f$n "size=900000&seed=1$n" >"$W/o"
	sim_rule '{"name":"fin'$n'","op":"GET","key":"f'$n'","count":2,
		"after_bytes":'$n',"then":"fin"}'
done
sim_put never 'size=900000&seed=9' >"$W/o"
sim_rule '{"name":"never","op":"GET","key":"never","after_bytes":0,"then":"fin"}'
mount_tarn read-timeout=2s
for n in 0 1 65536 500000; do
	expect_eq "$(sha "$MNT/f$n")" "$(sim_sha f$n)" "cut after $n bytes"
	expect_fired fin$n
done
if cat "$MNT/never" >"$W/out" 2>"$W/err"; then
	fail "read $(stat -c %s "$W/out") bytes that never came"
fi
expect_eq "$(stat -c %s "$W/out")" 0 "bytes given out"
sim clear ''
expect_eq "$(sha "$MNT/never")" "$(sim_sha never)" "after the fault"
umount_tarn
