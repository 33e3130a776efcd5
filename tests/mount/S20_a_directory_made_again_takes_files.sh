# SPDX-License-Identifier: Apache-2.0
# S20: a directory that was removed and made again, here or by others, is
# another one for the kernel, which makes nothing in one that it saw removed.
# So files can be made in the new one while somebody is in the old one, or has
# a file open that was there.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
mount_tarn rw,negative-ttl=0,consistency=strict
mkdir "$MNT/a" "$MNT/b" "$MNT/c"

# Who is in it stays in the old one.
(
	cd "$MNT/a"
	rmdir "$MNT/a"
	mkdir "$MNT/a"
	echo 1 >"$MNT/a/file" || fail "nothing is made in a new directory"
	expect_errno ENOENT python3 -c 'open("file", "w")'
	expect_eq "$(ls "$MNT/a")" file "the new directory"
)
expect_eq "$(cat "$MNT/a/file")" 1 "what was made in the new directory"

# A file that is open has no name in it.
exec 5>"$MNT/b/file"
rm "$MNT/b/file"
rmdir "$MNT/b"
mkdir "$MNT/b"
echo 2 >"$MNT/b/new" || fail "nothing is made beside what is open"
echo 3 >&5
exec 5>&-
expect_eq "$(ls "$MNT/b")" new "the directory beside what was open"

# Others make it.
echo theirs >"$W/theirs"
exec 5<"$MNT/c"
rmdir "$MNT/c"
store_put c/theirs "$W/theirs"
expect_eq "$(cat "$MNT/c/theirs")" theirs "what others have put there"
echo 4 >"$MNT/c/ours" || fail "nothing is made in what others made again"
expect_eq "$(ls "$MNT/c")" "$(printf 'ours\ntheirs')" "what others made again"
exec 5<&-
