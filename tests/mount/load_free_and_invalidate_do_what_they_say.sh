# SPDX-License-Identifier: Apache-2.0
# load brings a tree in, so that reading it asks the store for nothing; free
# drops bytes, not objects; invalidate makes a change be seen at once.
# stores: file objsim versitygw
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
# A prefix of its own: other mounts of this host may have the bucket too.
top=${W##*.}
mkdir -p "$W/all/$top"
ln -s "all/$top" "$W/src"
mkdir -p "$W/src/a/b" "$W/src/c"
for n in 1 2 3; do
	make_file "$W/src/a/$n" 110000 $n
	make_file "$W/src/a/b/$n" 3000000 $n
done
make_file "$W/src/c/other" 1000
store_put_tree "$W/all"
SOURCE=$SOURCE/$top
mount_tarn consistency=ttl:1h
result() { # COMMAND... : a field of its JSON
	"$TARN" "$@" --json >"$W/result.json" || fail "$*: $(cat "$W/result.json")"
}
field() {
	json "$W/result.json" "j['$1']"
}

result load --dry-run "$MNT/a"
expect_eq "$(field files)" 6 "files of a dry run"
expect_eq "$(field bytes)" 9330000
expect_eq "$(field ssd_bytes)" 0 "bytes that are here"
result load --verify "$MNT/a"
expect_eq "$(field failed)" 0
expect_eq "$(field fetched_bytes)" 9330000 "bytes fetched"
result load "$MNT/a"
expect_eq "$(field fetched_bytes)" 0 "bytes fetched again"
gets=$(store_count GET)
diff -r "$W/src/a" "$MNT/a"
expect_eq "$(store_count GET)" "$gets" "GETs after the load"

# By URL, and by a list on standard input.
result load "$SOURCE/c/other"
expect_eq "$(field fetched_bytes)" 1000
result free "$SOURCE/c"
expect_eq "$(field files)" 1
printf '%s\n\n%s\n' "$MNT/c" "$MNT/a/1" | {
	"$TARN" load --list - >"$W/out" || fail "load --list"
}
grep -q '^2 files, .* came from the store$' "$W/out" || fail "$(cat "$W/out")"

result free "$MNT/a/b"
expect_eq "$(field files)" 3
expect_ge "$(field ssd_bytes)" 9000000
result load --dry-run "$MNT/a/b"
expect_eq "$(field ssd_bytes)" 0 "bytes after free"
diff -r "$W/src" "$MNT"

# A name that is not there is a failure that names it.
rc=0
"$TARN" load "$MNT/none" >"$W/out" 2>"$W/err" || rc=$?
expect_eq $rc 1
grep -q 'none: No such file' "$W/err" || fail "$(cat "$W/err")"

make_file "$W/new" 5000 77
store_put "$top/c/other" "$W/new"
"$TARN" invalidate "$MNT/c"
cmp "$W/new" "$MNT/c/other"
store_put "$top/c/more" "$W/new"
(cd "$MNT/c" && "$TARN" invalidate .)
cmp "$W/new" "$MNT/c/more"
umount_tarn
