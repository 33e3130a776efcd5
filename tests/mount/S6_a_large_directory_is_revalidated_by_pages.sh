# SPDX-License-Identifier: Apache-2.0
# S6: when a directory too large to be listed for a lookup has expired, one
# LIST page tells of a thousand of its files again: no HEAD, and a change and
# an absence are seen. Its first listing is by LISTs side by side: each entry
# once, in order.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
count=100500
sim "many?bucket=bucket&prefix=many/&n=$count&size=3" ''
sim_put 'many/0000100' 'size=7&seed=1' >"$W/o"
mount_tarn consistency=ttl:2s,negative-ttl=1s
ls -U "$MNT/many" >"$W/names"
seq -f %07.0f 0 $((count - 1)) | cmp - "$W/names" || fail "other names"
expect_ge "$(sim 'count?op=LIST')" 101 "LISTs of the directory"

lists=$(sim 'count?op=LIST') heads=$(sim 'count?op=HEAD&key=many/*')
sim_put 'many/0000300' 'size=11&seed=2' >"$W/o"
sim 'delete?bucket=bucket&key=many/0000400' ''
seen() { [ "$(stat -c %s "$MNT/many/0000300")" = 11 ]; }
wait_for 20 seen
gone() { ! stat "$MNT/many/0000400" 2>"$W/err"; }
wait_for 20 gone
grep -q 'No such file' "$W/err" || fail "another error: $(cat "$W/err")"
# Two pages' names, in no order.
for n in $(seq -f %07.0f 500 1499 | shuf -n 600); do
	echo "$MNT/many/$n"
done | xargs stat -c %s | sort -u >"$W/sizes"
expect_eq "$(cat "$W/sizes")" 3 "sizes"
expect_eq "$(($(sim 'count?op=HEAD&key=many/*') - heads))" 0 "HEADs of known names"
expect_le "$(($(sim 'count?op=LIST') - lists))" 30 "LISTs of known names"
umount_tarn
