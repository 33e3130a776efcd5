# SPDX-License-Identifier: Apache-2.0
# E10: a directory of many more files than the inodes' share of memory has
# room for. Every name is listed once, each stat is right, a file that is read
# meanwhile gives its bytes, an open one and a shell's directory stay what they
# are; and inodes and memory stay bounded, since the kernel is asked to forget.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
count=400000
sim "many?bucket=bucket&prefix=many/&n=$count&size=3" '' >"$W/o"
sim_put many/deep/in/file 'size=100000&seed=1' >"$W/o"
sim_put big 'size=20000000&seed=2' >"$W/o"
mount_tarn memory=64M,consistency=ttl:1h
limit=$(mount_stat "$MNT" "m['memory']['inodes_limit']")
expect_le "$limit" 50000000 "the share"
asks() { mount_stat "$MNT" "m['counters']['inode_asks']"; }
scanned() { awk '$1 == "slabs_scanned" { print $2 }' /proc/vmstat; }
within() { [ "$(mount_stat "$MNT" "m['memory']['inodes']")" -le "$limit" ]; }

exec 5<"$MNT/many/0000003"
(
	cd "$MNT/many/deep/in"
	touch "$W/in"
	wait_for 300 test -e "$W/walked"
	[ "$(/bin/pwd)" = "$MNT/many/deep/in" ] && wc -c <file >"$W/size"
) &
inside=$!
# Who stands in the mount would keep it from being taken down.
at_exit "touch $W/walked; wait $inside || true"
wait_for 20 test -e "$W/in"
(
	while [ ! -e "$W/walked" ]; do
		sha "$MNT/big" >>"$W/sums"
	done
) &
reader=$!
at_exit "touch $W/walked; wait $reader || true"

before=$(scanned)
# Attributes of all, while they do not all fit: most of it twice in a row.
find "$MNT/many" -maxdepth 1 -type f -printf '%f %s\n' | sort >"$W/walk"
seq -f '%07.0f 3' 0 $((count - 1)) | cmp - "$W/walk" || fail "another walk"
inodes=$(mount_stat "$MNT" "m['inodes']")
expect_le "$inodes" 330000 "inodes after a walk"
# The asking goes on behind the walk, until there is room: also on a machine
# whose kernel was short of memory meanwhile, and forgot many by itself.
wait_for 30 within
[ "$(scanned)" -gt "$before" ] ||
	expect_ge "$(asks)" 50000 "inodes to be forgotten"
echo "asked for $(asks), slabs scanned: $(($(scanned) - before))"
ls -l "$MNT/many" | awk '$5 == 3' | wc -l >"$W/long"
expect_eq "$(cat "$W/long")" $count "ls -l"
wait_for 20 within
expect_le "$(mount_stat "$MNT" "m['memory']['used']")" 117440512 "memory"
touch "$W/walked"
wait $reader
wait $inside || fail "the shell's directory is another"
expect_eq "$(cat "$W/size")" 100000 "a file beside it"
expect_eq "$(sort -u "$W/sums" | wc -l)" 1 "bytes read meanwhile"
expect_eq "$(readlink /proc/$$/fd/5)" "$MNT/many/0000003"
expect_eq "$(wc -c <&5)" 3
exec 5<&-

# Names that were forgotten are found, and absent ones are not.
for n in 0 1 199999 399999; do
	expect_eq "$(stat -c %s "$MNT/many/$(printf %07d $n)")" 3
done
expect_errno ENOENT stat "$MNT/many/0400000"

# A mere find asks for no attributes: it makes no inodes that do not fit.
expect_eq "$(find "$MNT/many" -type f | wc -l)" $((count + 1))
wait_for 20 within

# With room again it stops, once what was begun has come to its end.
settled() {
	before=$(asks)
	sleep 1
	[ "$(asks)" = "$before" ]
}
wait_for 30 settled
stat "$MNT/big" >"$W/o"
cat "$MNT/many/0000005" >"$W/o"
expect_eq "$(asks)" "$before" "asked with room to spare"
umount_tarn
