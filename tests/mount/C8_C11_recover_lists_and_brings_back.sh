# SPDX-License-Identifier: Apache-2.0
# C8, C9, C11, S12, S17: what the store does not have is told by the next open
# for writing, by status and by recover, which brings it back or drops it, with
# the mount there or gone. Uploads of a daemon that was killed are aborted by
# the next mount, and what it had of a file is kept and not committed.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
make_file "$W/new" 300000 1
make_file "$W/large" 30000000 2
make_file "$W/other" 1000 3
make_file "$W/third" 2000 4
sim_put old 'size=5000&seed=9' >"$W/o"
old=$(sim_sha old)

# Other tests may have mounts of this user, whose staging is not looked into.
recover() { "$TARN" recover --staging-dir "$W/staging" "$@"; }
uploads() { sim uploads; }
listed() { # PYTHON-EXPRESSION of the files f, with fl the list
	recover --json >"$W/list"
	json "$W/list" "(lambda fl: $1)(j['files'])"
}
refuse() { sim_rule '{"name":"no","op":"PUT","status":403,"code":"AccessDenied"}'; }
# Nobody has it open any more: the last release comes after the close.
waits() { # FILES: mount or status says it, and how to list them
	expect_eq "$(mount_stat "$MNT" "m['commits']['waiting']")" "$1" "waiting"
	"$TARN" status "$MNT" >"$W/o"
	if [ "$1" = 0 ]; then
		! grep -q '^  recover' "$W/o" || fail "$(cat "$W/o")"
	else
		grep -q "^  recover  *$1 file.*: .tarn recover $MNT. lists" "$W/o" ||
			fail "no $1 in $(cat "$W/o")"
	fi
}
mount_says_waiting() { # FILES
	grep -q "^  recover  *$1 file.* not in the store: .tarn recover $MNT. lists" \
		"$W/mnt.out" || fail "no $1 in $(cat "$W/mnt.out")"
}
free_of() {
	recover --json >"$W/list"
	[ "$(json "$W/list" "sum(f['open'] for f in j['files'])")" = 0 ]
}
opens_fail() { # FILE
	expect_errno EACCES dd if=/dev/null of="$1" conv=notrunc status=none
	expect_errno EACCES dd if=/dev/null of="$1" oflag=append conv=notrunc status=none
	expect_errno EACCES cp "$W/other" "$1"
	expect_errno EACCES truncate -s 3 "$1"
}

# ---- a commit that failed -------------------------------------------------

mount_tarn rw
expect_eq "$(recover)" "nothing is to be recovered"
waits 0
! grep -q '^  recover' "$W/mnt.out" || fail "$(cat "$W/mnt.out")"
refuse
expect_errno EACCES cp "$W/new" "$MNT/old"
expect_errno EACCES cp "$W/new" "$MNT/fresh"
expect_fired no 2
sim clear ''
wait_for 10 free_of
for f in old fresh; do
	opens_fail "$MNT/$f"
	"$TARN" status "$MNT" | grep -q "not in the store: $f, .*Permission denied"
	expect_eq "$(listed "[(f['state'], f['size'], f['error'], f['whole'], f['url']) for f in fl if f['path'] == '$MNT/$f']")" \
		"[('failed', 300000, 'Permission denied', True, 's3://bucket/$f')]"
	recover "$MNT/$f" >"$W/o"
	grep -q "$MNT/$f\$" "$W/o"
	grep -q 'Permission denied$' "$W/o"
done
waits 2
# What others read is the old one, and other files are written.
expect_eq "$(cat "$MNT/old" | sha -)" "$old"
cp "$W/other" "$MNT/well"

# The bytes, without the store or the mount being asked.
recover "$MNT/fresh" --save "$W/saved"
cmp "$W/saved" "$W/new"
if recover "$MNT/fresh" --save "$W/saved" 2>"$W/err"; then
	fail "an existing file was replaced"
fi
grep -q 'it is there already' "$W/err"

# Dropped, by its URL: its path is free, in the mount that is there.
recover s3://bucket/fresh --discard
cp "$W/other" "$MNT/fresh"
cmp "$W/other" "$MNT/fresh"
opens_fail "$MNT/old"

# Committed: the mount has it at once.
recover "$MNT/old" --commit
expect_eq "$(sim_sha old)" "$(sha "$W/new")"
cmp "$W/new" "$MNT/old"
cp "$W/other" "$MNT/old"
cmp "$W/other" "$MNT/old"
expect_eq "$(listed 'len(fl)')" 0
expect_eq "$(mount_stat "$MNT" "len(m['commits']['failed'])")" 0
waits 0
expect_eq "$(recover "$MNT")" "nothing is to be recovered"
if recover "$MNT/old" --discard 2>"$W/err"; then
	fail "what is not there was dropped"
fi
grep -q 'nothing of it is to be recovered' "$W/err"

# A name that is removed or replaced is free; the bytes are kept all the same.
refuse
expect_errno EACCES cp "$W/new" "$MNT/old"
expect_errno EACCES cp "$W/new" "$MNT/well"
sim clear ''
wait_for 10 free_of
rm "$MNT/old"
mv "$MNT/fresh" "$MNT/well"
cp "$W/other" "$MNT/old"
cp "$W/third" "$MNT/well"
expect_eq "$(listed 'len(fl)')" 2
waits 2
expect_eq "$(mount_stat "$MNT" "len(m['commits']['failed'])")" 0
# Another is there by now: only who says so replaces it.
if recover "$MNT/well" --commit 2>"$W/err"; then
	fail "another version was replaced"
fi
grep -q 'another version' "$W/err"
recover "$MNT/well" --commit --force
expect_eq "$(sim_sha well)" "$(sha "$W/new")"
waits 1
umount_tarn
mount_tarn
mount_says_waiting 1
waits 1
# It was told: not again by the next mount, either.
cp "$W/other" "$MNT/old"
recover "$(listed "fl[0]['id']")" --discard
expect_eq "$(listed 'len(fl)')" 0

# ---- a daemon that is killed ----------------------------------------------

sim_rule '{"name":"gate","op":"PART","hold":true}'
cp "$W/new" "$MNT/acked"
cp "$W/large" "$MNT/large" 2>"$W/o" &
writer=$!
held() { [ "$(sim_fired gate)" -ge 1 ]; }
wait_for 20 held
# A file that is being written is told, and left alone.
expect_eq "$(listed "[(f['state'], f['open']) for f in fl]")" "[('open', True)]"
if recover "$MNT/large" --discard 2>"$W/err"; then
	fail "what is being written was dropped"
fi
grep -q 'has it open' "$W/err"
pid=$(mount_pid)
kill -9 "$pid"
wait_for 20 no_process "$pid"
wait $writer || true
sim release?rule=gate ''
sim clear ''
expect_ge "$(uploads)" 1 "uploads of the dead"
mount_tarn rw
no_uploads() { [ "$(uploads)" = 0 ]; }
wait_for 20 no_uploads
wait_for 10 free_of
grep -q 'not in the store: 1, 1 of them not finished' "$W/mnt.log"
mount_says_waiting 1
waits 1
expect_eq "$(sim_sha acked)" "$(sha "$W/new")"
expect_eq "$(listed "[(f['state'], f['path'], f['whole']) for f in fl]")" \
	"[('interrupted', '$MNT/large', True)]"
[ ! -e "$MNT/large" ] || fail "it was committed by itself"
refuse
expect_errno EACCES cp "$W/new" "$MNT/old"
sim clear ''
wait_for 10 free_of
umount_tarn

# Without a mount: the source has to be named, and has to be the right one.
id=$(listed "[f['id'] for f in fl if f['state'] == 'failed'][0]")
if recover "$id" --commit 2>"$W/err"; then
	fail "committed without a source"
fi
grep -q 'name it with --source' "$W/err"
if recover "$id" --commit --source s3://bucket/below -o "$STORE_OPTS" \
	2>"$W/err"; then
	fail "committed to another source"
fi
grep -q 'it is of ' "$W/err"
recover "$id" --commit --source "$SOURCE" -o "$STORE_OPTS"
expect_eq "$(sim_sha old)" "$(sha "$W/new")"
# What was interrupted is as much as it was given, here of a large file.
recover s3://bucket/large --save "$W/part"
cmp -n "$(stat -c %s "$W/part")" "$W/part" "$W/large"
recover s3://bucket/large --commit --source "$SOURCE" -o "$STORE_OPTS,part-size=5M"
expect_eq "$(sim_sha large)" "$(sha "$W/part")"
expect_eq "$(uploads)" 0 "uploads left"
expect_eq "$(recover)" "nothing is to be recovered"
expect_eq "$(find "$W/staging" -mindepth 2 -type f | wc -l)" 0 "files left in the staging"
