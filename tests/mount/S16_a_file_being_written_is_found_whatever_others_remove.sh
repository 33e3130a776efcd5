# SPDX-License-Identifier: Apache-2.0
# S16, S1: what is being written on a mount has its path there, whatever became
# of its directories in the store: another mount removes them, marker and all,
# or puts a file in their place. They are looked up, listed, moved, and neither
# made nor removed, as long as something below them is being written; and by
# its commit they are there again for all, at once.
# stores: file objsim versitygw minio
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
cat >"$W/steps.py" <<'PY'
import errno, os, shutil, subprocess, sys, time, urllib.request
one, two, store, know = sys.argv[1:5]
tarn = sys.argv[5:]

def fails(name, fn, *args):
    try:
        fn(*args)
    except OSError as e:
        assert errno.errorcode[e.errno] == name, (args, e)
    else:
        raise AssertionError("%s: succeeded instead of %s" % (args, name))

def names(where):
    return " ".join(sorted(os.listdir(where)))

def read(path):
    with open(path) as f:
        return f.read()

def look():
    """What one remembers of the store is what that has now."""
    if know == "ttl":
        subprocess.run(tarn + ["invalidate", one], check=True)

def begin(path, text="text"):
    """A file that is being written: nothing of it is in the store."""
    f = open(one + "/" + path, "w")
    f.write(text)
    f.flush()
    return f

def there(path, kind):
    """By its name, and in the listing of its directory, which agree."""
    st = os.stat(one + "/" + path)
    with os.scandir(os.path.dirname(one + "/" + path)) as entries:
        e = {e.name: e for e in entries}[os.path.basename(path)]
    assert (e.is_dir(follow_symlinks=False), os.path.isdir(one + "/" + path)) \
        == (kind == "dir",) * 2, (path, kind)
    assert e.inode() == st.st_ino, path
    return st.st_ino

def remove(path):
    """By two, with what is left of it; where it has no marker, maybe nothing."""
    shutil.rmtree(two + "/" + path, ignore_errors=True)
    assert path not in names(two).split()

def removed():
    os.makedirs(one + "/d/sub")
    with open(one + "/d/old", "w") as f:
        f.write("old")
    with open(one + "/beside", "w") as f:
        f.write("beside")
    before = there("d", "dir")
    f = begin("d/sub/f")
    g = begin("d/sub/g")
    remove("d")
    assert names(two) == "beside"
    look()
    assert there("d", "dir") == before
    there("d/sub", "dir")
    there("d/sub/f", "file")
    assert names(one) == "beside d", names(one)
    assert names(one + "/d") == "sub"
    assert names(one + "/d/sub") == "f g"
    assert read(one + "/d/sub/f") == "text"
    fails("EEXIST", os.mkdir, one + "/d")
    fails("EISDIR", open, one + "/d", "w")
    for d in "d", "d/sub":
        fails("ENOTEMPTY", os.rmdir, one + "/" + d)
    # Over it goes no file, and no directory, which it is not empty for.
    fails("EISDIR", os.rename, one + "/beside", one + "/d")
    os.mkdir(one + "/empty")
    fails("ENOTEMPTY", os.rename, one + "/empty", one + "/d")
    os.rmdir(one + "/empty")
    look()
    # It is moved, and what is written goes along.
    os.rename(one + "/d", one + "/e")
    fails("ENOENT", os.stat, one + "/d")
    assert names(one) == "beside e", names(one)
    assert read(one + "/e/sub/f") == "text"
    look()
    there("e", "dir")
    there("e/sub/f", "file")
    # Committed, it is in the store under that name, and both know at once.
    f.close()
    for m in one, two:
        assert names(m) == "beside e", names(m)
        assert read(m + "/e/sub/f") == "text"
    assert names(one + "/e/sub") == "f g"
    # What is dropped holds no directory any more.
    os.unlink(one + "/e/sub/g")
    os.unlink(one + "/e/sub/f")
    g.close()
    remove("e")
    look()
    assert names(one) == "beside", names(one)
    fails("ENOENT", os.stat, one + "/e")

def known_as_absent():
    """What was just looked for in vain is there by a commit."""
    os.mkdir(one + "/d")
    f = begin("d/f")
    os.rmdir(two + "/d")
    look()
    assert names(one) == "beside d"
    fails("ENOENT", os.stat, one + "/none") # so much for the root's listing
    f.close()
    assert names(one) == "beside d", names(one)
    assert read(one + "/d/f") == "text"
    # The same by a directory that is made.
    os.makedirs(one + "/d/sub")
    f = begin("d/sub/f")
    remove("d")
    look()
    os.mkdir(one + "/d/sub/new")
    os.unlink(one + "/d/sub/f")
    f.close()
    assert names(one) == "beside d", names(one)
    assert names(one + "/d") == "sub"
    assert names(one + "/d/sub") == "new"
    remove("d")
    look()
    assert names(one) == "beside"

def moved_into():
    """So it is by a directory that is moved there."""
    os.makedirs(one + "/from/m/x")
    os.mkdir(one + "/d")
    f = begin("d/f")
    os.rmdir(two + "/d")
    look()
    assert names(one) == "beside d from", names(one)
    os.rename(one + "/from/m", one + "/d/m")
    os.unlink(one + "/d/f")
    f.close()
    there("d", "dir")
    there("d/m/x", "dir")
    assert names(one).startswith("beside d"), names(one)
    remove("d")
    remove("from")
    look()

def half_known():
    """Of what was found absent above, what is below is known from before."""
    os.makedirs(one + "/d/sub")
    fd = os.open(one + "/d", os.O_RDONLY)
    look()
    os.stat("sub", dir_fd=fd)
    f = os.open("sub/f", os.O_WRONLY | os.O_CREAT, dir_fd=fd)
    os.write(f, b"text")
    remove("d")
    there("d", "dir")
    os.close(f)
    os.close(fd)
    there("d", "dir")
    assert read(one + "/d/sub/f") == "text"
    remove("d")
    look()

def found_soon(path):
    """The kernel is told, which the one who made something does not wait for."""
    end = time.monotonic() + 20
    while not os.path.isdir(one + "/" + path):
        assert time.monotonic() < end, path

def the_kernel_forgets():
    """It was told that a directory is absent in which somebody is still."""
    for make in "file", "dir", "moved":
        os.makedirs(one + "/k/d/sub")
        with open(one + "/k/x", "w") as f:
            f.write("x")
        fd = os.open(one + "/k/d/sub", os.O_RDONLY)
        shutil.rmtree(two + "/k/d")
        look()
        for p in "k/d", "k/d":
            fails("ENOENT", os.stat, one + "/" + p)
        if make == "file":
            f = os.open("f", os.O_WRONLY | os.O_CREAT, dir_fd=fd)
        elif make == "dir":
            os.mkdir("new", dir_fd=fd)
        else:
            os.rename(one + "/k/x", "x", dst_dir_fd=fd)
        found_soon("k/d")
        found_soon("k/d/sub")
        if make == "file":
            os.close(f)
            there("k/d/sub/f", "file")
        os.close(fd)
        remove("k")
        look()

def removed_and_made():
    os.mkdir(one + "/d")
    f = begin("d/f")
    before = there("d", "dir")
    os.rmdir(two + "/d")
    look()
    os.mkdir(two + "/d")
    look()
    assert there("d", "dir") == before
    assert names(one + "/d") == "f"
    os.unlink(one + "/d/f")
    os.rmdir(one + "/d")
    look()
    fails("ENOENT", os.stat, one + "/d")
    os.mkdir(one + "/d")
    assert names(one + "/d") == ""
    f.close()
    assert names(one + "/d") == ""
    os.rmdir(one + "/d")

def displaced():
    """A file being written in d, where another mount has put an object."""
    os.mkdir(one + "/d")
    f = begin("d/f")
    os.rmdir(two + "/d")
    with open(two + "/d", "w") as g:
        g.write("object")
    look()
    return f

def a_file_in_its_place():
    """N5: then the directory has the name."""
    f = displaced()
    there("d", "dir")
    there("%~=d", "file")
    assert names(one) == "%~=d beside d", names(one)
    assert read(one + "/d/f") == "text"
    assert read(one + "/%~=d") == "object"
    f.close()
    assert names(one) == "%~=d beside d", names(one)
    assert read(one + "/d/f") == "text"
    assert read(one + "/%~=d") == "object"
    os.unlink(one + "/d/f")
    look()
    assert read(one + "/d") == "object"
    os.unlink(one + "/d")

def a_name_for_the_time_of_writing():
    """As soon as nothing is written below it, the object has its name again."""
    f = displaced()
    with os.scandir(one) as entries:
        assert [e.name for e in entries if e.stat() and e.is_file()
                and e.name != "beside"] == ["%~=d"]
    os.unlink(one + "/d/f")
    f.close()
    fails("ENOENT", os.stat, one + "/%~=d")
    assert read(one + "/d") == "object"
    os.unlink(one + "/d")

def long_names():
    """N6: so it is where a directory, or its object, has an alias."""
    longer = "y" * 300
    os.mkdir(one + "/l")
    url = os.environ["SIM"] + "/_sim/put?bucket=bucket&key=l/" + longer + "/old"
    urllib.request.urlopen(url, data=b"old").close()
    os.mkdir(one + "/l/" + "z" * 254)
    look()
    alias, = [n for n in os.listdir(one + "/l") if n.startswith("%~")]
    f = begin("l/" + "z" * 254 + "/f")
    g = begin("l/" + alias + "/g")
    os.unlink(two + "/l/" + alias + "/old")
    os.rmdir(two + "/l/" + "z" * 254)
    with open(two + "/l/" + "z" * 254, "w") as h:
        h.write("object")
    look()
    twin, = [n for n in os.listdir(one + "/l")
             if n.startswith("%~") and n != alias]
    def all_there():
        there("l/" + "z" * 254, "dir")
        there("l/" + "z" * 254 + "/f", "file")
        there("l/" + alias, "dir")
        there("l/" + alias + "/g", "file")
        there("l/" + twin, "file")
        assert names(one + "/l/" + alias) == "g"
        assert read(one + "/l/" + twin) == "object"
    all_there()
    f.close()
    g.close()
    all_there()
    os.unlink(one + "/l/" + "z" * 254 + "/f")
    os.unlink(one + "/l/" + alias + "/g")
    os.unlink(two + "/l/" + "z" * 254)
    remove("l")
    look()

removed()
known_as_absent()
moved_into()
half_known()
the_kernel_forgets()
removed_and_made()
if store == "objsim": # of the others none has both
    a_file_in_its_place()
    a_name_for_the_time_of_writing()
    long_names()
os.unlink(one + "/beside")
PY
for know in strict ttl; do
	for cache in c1 c2; do
		rm -rf "$W/c1" "$W/c2"
		mkdir -m 700 "$W/c1" "$W/c2"
		# What others changed is known late, unless it is asked for.
		how=strict
		[ $know = strict ] || how=ttl:1h,negative-ttl=1h
		CACHE_DIR=$W/c1 mount_tarn -n one consistency=$how
		CACHE_DIR=$W/$cache mount_tarn -n two consistency=strict
		SIM=${SIM-} python3 "$W/steps.py" "$W/one" "$W/two" "$STORE_KIND" $know "$TARN"
		umount_tarn two
		umount_tarn one
	done
done
