# SPDX-License-Identifier: Apache-2.0
# S22: rename of a directory moves what is below it, whatever its keys are:
# names that only tarn spells, files that are open, written or not yet in the
# store, directories below it. Both trees are right at once on this mount.
# stores: objsim file versitygw
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
make_file "$W/large" 7000000 1
mkdir -p "$W/src/a/sub/deep" "$W/src/other" "$W/src/full"
n=0
while [ $n -lt 40 ]; do
	n=$((n + 1))
	echo "number $n" >"$W/src/a/f$n"
done
echo deep >"$W/src/a/sub/deep/file"
cp "$W/large" "$W/src/a/sub/large"
echo other >"$W/src/other/file"
echo full >"$W/src/full/file"
store_put_tree "$W/src"
mount_tarn rw,negative-ttl=60s,rename-dir-limit=100
sums() { (cd "$1" && find . -type f | sort | xargs -d '\n' sha256sum); }
want=$(sums "$W/src/a")

# What the kernel and the mount remember of both is not believed after it.
cd "$MNT"
mkdir empty
ls a a/sub empty >"$W/o"
stat a/f1 a/sub/large >"$W/o"
for absent in b b/f1 a/none; do
	[ ! -e $absent ] || fail "$absent is there"
done
exec 5<a/sub/large
head -c 1000 <&5 >"$W/o"
mv -T a b
[ ! -e a ] || fail "a is still there"
[ ! -e a/f1 ] || fail "a/f1 is still there"
expect_eq "$(sums b)" "$want" "after the first"
expect_eq "$(ls)" "$(printf 'b\nempty\nfull\nother')"
expect_eq "$(ls b/sub)" "$(printf 'deep\nlarge')"
expect_eq "$(stat -c %i b/f1)" "$(ls -i b | awk '$2 == "f1" { print $1 }')" "inode numbers"
exec 5<&-

# To below another, over an empty one, and back.
mv -T b empty
[ ! -e b ] || fail "b is still there"
expect_eq "$(sums empty)" "$want" "over an empty one"
mv empty other
expect_eq "$(sums other/empty)" "$want" "into another"
mv -T other/empty a
expect_eq "$(sums a)" "$want" "and back"
expect_eq "$(ls other)" file

# The rules of rename(2).
cat >"$W/rules.py" <<'PY'
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
def rename2(a, b, flags):
    if libc.renameat2(-100, a.encode(), -100, b.encode(), flags) < 0:
        raise OSError(ctypes.get_errno(), a)
def fails(err, fn, *args):
    try:
        fn(*args)
    except OSError as e:
        assert e.errno == err, (args, e)
    else:
        raise AssertionError("%r succeeded" % (args,))
fails(errno.ENOTEMPTY, os.rename, "a", "full")
fails(errno.ENOTEMPTY, os.rename, "a/sub", "a")
fails(errno.ENOTDIR, os.rename, "a", "other/file")
fails(errno.EISDIR, os.rename, "other/file", "a")
fails(errno.EINVAL, os.rename, "a", "a/sub/x")
fails(errno.ENOENT, os.rename, "none", "x")
fails(errno.EEXIST, rename2, "a", "full", 1)
fails(errno.EINVAL, rename2, "a", "full", 2)
rename2("a", "moved", 1)
os.rename("moved", "a")
PY
python3 "$W/rules.py"
expect_eq "$(sums a)" "$want" "after what failed"

# Files that are open, changed, and not in the store yet move along.
cat >"$W/open.py" <<'PY'
import os
new = os.open("a/new", os.O_RDWR | os.O_CREAT)
os.write(new, b"new, ")
old = os.open("a/f1", os.O_RDWR | os.O_APPEND)
os.write(old, b"more, ")
synced = os.open("a/sub/synced", os.O_RDWR | os.O_CREAT)
os.write(synced, b"synced, ")
os.fsync(synced)
os.write(synced, b"not synced, ")
clean = os.open("a/f2", os.O_RDWR)
where = os.open("a/sub", os.O_RDONLY | os.O_DIRECTORY)
os.rename("a", "b")
for fd, name in ((new, "b/new"), (old, "b/f1"), (synced, "b/sub/synced")):
    os.write(fd, b"after")
    assert os.fstat(fd).st_size == os.stat(name).st_size, name
    with open(name, "rb") as f:
        assert f.read().endswith(b", after"), name
os.pwrite(clean, b"N", 0)
with open("made", "w", opener=lambda p, f: os.open(p, f, dir_fd=where)) as f:
    f.write("by the old directory")
for fd in (new, old, synced, clean, where):
    os.close(fd)
PY
python3 "$W/open.py"
[ ! -e a ] || fail "a is back"
expect_eq "$(cat b/new)" "new, after"
expect_eq "$(cat b/f1)" "$(printf 'number 1\nmore, after')"
expect_eq "$(cat b/f2)" "Number 2"
expect_eq "$(cat b/sub/synced)" "synced, not synced, after"
expect_eq "$(cat b/sub/made)" "by the old directory"
cd /
before=$(sums "$MNT/b")
umount_tarn

# Another mount, which remembers nothing, has the same; nothing is left.
CACHE_DIR=$W/c2 mount_tarn rw,rename-dir-limit=30
expect_eq "$(sums "$MNT/b")" "$before" "what the store has"
[ ! -e "$MNT/a" ] || fail "a is in the store"
expect_eq "$(find "$W/staging" -mindepth 2 -type f)" "" "left in the staging"
[ "$STORE_KIND" != file ] || {
	umount_tarn
	exit 0
}

# More than that many: nothing is changed, and mv copies.
if python3 -c 'import os, sys; os.rename(sys.argv[1], sys.argv[2])' \
	"$MNT/b" "$MNT/c" 2>"$W/err"; then
	fail "a directory above the limit was renamed"
fi
grep -q 'Invalid cross-device link' "$W/err"
expect_eq "$(sums "$MNT/b")" "$before" "after EXDEV"
[ ! -e "$MNT/c" ] || fail "c is there"
mv "$MNT/b" "$MNT/c"
expect_eq "$(sums "$MNT/c")" "$before" "mv copied it"
[ ! -e "$MNT/b" ] || fail "b was copied and is still there"

# Keys that have no plain name: they move as they are.
if [ "$STORE_KIND" = objsim ]; then
	for key in d/ d/%25~x d/a//b d/both d/both/below d/plus+sp%20ace \
		d/%C3%A4 d/%FF d/.. d/mark/ "d/$(printf '%0300d' 7)"; do
		sim_put "$key" 'size=10&seed=3' >"$W/o"
	done
	"$TARN" invalidate "$MNT/"
	names=$(cd "$MNT/d" && find . | sort)
	before=$(sums "$MNT/d")
	# Nor is a directory empty that is a file as well (N3).
	mkdir "$MNT/alone" "$MNT/data"
	sim_put data/ 'size=10&seed=3' >"$W/o"
	"$TARN" invalidate "$MNT/"
	if mv -T "$MNT/alone" "$MNT/data" 2>"$W/err"; then
		fail "a directory with data was replaced"
	fi
	grep -q 'Directory not empty' "$W/err"
	mv "$MNT/d" "$MNT/e"
	expect_eq "$(cd "$MNT/e" && find . | sort)" "$names" "odd names"
	expect_eq "$(sums "$MNT/e")" "$before" "files of odd names"
	expect_eq "$(s3 keys | grep -c '^d/' || true)" 0 "keys under the old name"
	expect_eq "$(s3 keys | grep -c '^e/')" 11 "keys under the new name"
fi
no_errors mnt
umount_tarn
