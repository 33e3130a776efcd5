# SPDX-License-Identifier: Apache-2.0
# A2: a transfer that stalls mid-body is cut and resumed at the byte received,
# of the same version; the reader sees only a delay.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
for n in 0 1 70000 5000000; do
	sim_put f$n "size=9000000&seed=1$n" >"$W/o"
	sim_rule '{"name":"stall'$n'","op":"GET","key":"f'$n'","count":1,
		"after_bytes":'$n',"then":"stall"}'
done
mount_tarn stall-timeout=1s
for n in 0 1 70000 5000000; do
	expect_eq "$(sha "$MNT/f$n")" "$(sim_sha f$n)" "stall after $n bytes"
	expect_fired stall$n
done
# Resumed, not fetched again: what came before the stall was kept.
expect_le "$(sim 'bytes?op=GET&key=f5000000')" 14100000 "bytes sent"
sim journal | python3 -c 'import json, sys
later = [e for e in json.load(sys.stdin) if e["op"] == "GET" and not
         e["range"].startswith("bytes=0-") and e["range"]]
assert later, "no GET began in the middle"
assert all(e["if_match"] for e in later), "resumed without If-Match"'
umount_tarn
