# SPDX-License-Identifier: Apache-2.0
"""Write below DIR in every way a program does, and compare with a twin.

Usage: writes.py DIR TWIN

Each step is done twice, in DIR (a mount) and in TWIN (a local directory);
what it returned and what the files hold are compared after each. Prints the
steps' names; exits 1 with the first difference.
"""
import errno
import mmap
import os
import random
import sys

dirs = sys.argv[1:3]
random.seed(7)
MIB = 1 << 20
noise = random.randbytes(4 * MIB)


def piece(n, at=0):
    """n bytes that look like no others nearby."""
    out = bytearray()
    while len(out) < n:
        out += noise[at % 9973:at % 9973 + min(n - len(out), 3 * MIB)]
        at += 31
    return bytes(out[:n])


def put(path, data, flags=os.O_TRUNC, chunk=MIB):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o644)
    for i in range(0, len(data), chunk):
        os.write(fd, data[i:i + chunk])
    os.close(fd)


def get(path):
    with open(path, "rb") as f:
        return f.read()


def failing(f):
    try:
        f()
    except OSError as e:
        return errno.errorcode[e.errno]
    return "no error"


def sequential(d):
    for n in (0, 1, 4095, 65536, 65537, MIB, MIB + 1, 8 * MIB, 20 * MIB + 7):
        put(d + "/seq%d" % n, piece(n, n))
    return [get(d + "/seq%d" % n) for n in (0, 1, 65537, 20 * MIB + 7)]


def tiny_writes(d):
    put(d + "/tiny", piece(100003), chunk=10)
    return get(d + "/tiny")


def appends(d):
    for i in range(5):
        put(d + "/log", b"line %d\n" % i, os.O_APPEND)
    put(d + "/seq%d" % (20 * MIB + 7), piece(MIB, 5), os.O_APPEND)
    return get(d + "/log")


def listed_meanwhile(d):
    """Sizes of a listing are not those of the object before."""
    fd = os.open(d + "/log", os.O_WRONLY | os.O_APPEND)
    os.write(fd, b"more " * 100)
    sizes = [e.stat().st_size for e in os.scandir(d) if e.name == "log"]
    os.write(fd, b"end\n")
    os.close(fd)
    return sizes, get(d + "/log")


def in_place(d):
    """Overwrite the middle of an object that was there."""
    fd = os.open(d + "/seq%d" % (20 * MIB + 7), os.O_RDWR)
    os.pwrite(fd, piece(70000, 3), 9 * MIB + 13)
    seen = os.pread(fd, 100000, 9 * MIB)
    os.pwrite(fd, b"x", 0)
    os.close(fd)
    return seen


def truncates(d):
    name = d + "/cut"
    put(name, piece(3 * MIB))
    os.truncate(name, MIB + 5)
    one = get(name)
    os.truncate(name, 2 * MIB)
    two = get(name)
    fd = os.open(name, os.O_RDWR)
    os.ftruncate(fd, 100)
    os.pwrite(fd, b"end", 200)
    three = os.pread(fd, 1000, 0)
    os.close(fd)
    os.truncate(name, 0)
    return one, two, three, os.stat(name).st_size


def sparse(d):
    fd = os.open(d + "/sparse", os.O_RDWR | os.O_CREAT)
    os.pwrite(fd, b"far", 5 * MIB)
    os.pwrite(fd, b"near", 1000)
    end = os.lseek(fd, 0, os.SEEK_END)
    os.close(fd)
    return end, get(d + "/sparse")


def exclusive(d):
    put(d + "/excl", b"once", os.O_EXCL)
    return failing(lambda: put(d + "/excl", b"twice", os.O_EXCL)), \
        get(d + "/excl")


def read_while_written(d):
    name = d + "/growing"
    fd = os.open(name, os.O_WRONLY | os.O_CREAT)
    seen = []
    for i in range(3):
        os.write(fd, piece(50000, i))
        seen.append((len(get(name)), os.stat(name).st_size,
                     "growing" in os.listdir(d)))
    os.close(fd)
    return seen, get(name)


def two_writers(d):
    name = d + "/shared"
    a = os.open(name, os.O_RDWR | os.O_CREAT)
    b = os.open(name, os.O_RDWR)
    os.pwrite(a, b"aaaa", 0)
    os.pwrite(b, b"bbbb", 4)
    seen = os.pread(a, 100, 0), os.pread(b, 100, 0)
    os.close(a)
    os.pwrite(b, b"cc", 2)
    os.close(b)
    return seen, get(name)


def fsyncs(d):
    fd = os.open(d + "/synced", os.O_RDWR | os.O_CREAT)
    for i in range(4):
        os.pwrite(fd, piece(3 * MIB, i), i * 2 * MIB)
        os.fsync(fd)
    os.close(fd)
    return get(d + "/synced")


def mapped(d):
    name = d + "/mapped"
    put(name, piece(300000))
    fd = os.open(name, os.O_RDWR)
    m = mmap.mmap(fd, 300000)
    m[100000:100005] = b"HELLO"
    m[299999:300000] = b"!"
    m.flush()
    m.close()
    os.close(fd)
    return get(name)


def beside_a_writer(d):
    """Reads, mappings and other writers beside one that only writes."""
    name = d + "/beside"
    w = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(w, piece(200000))
    r = os.open(name, os.O_RDONLY)
    m = mmap.mmap(r, 200000, mmap.MAP_SHARED, mmap.PROT_READ)
    seen = [os.pread(r, 1000, 65000), m[65000:66000]]
    os.pwrite(w, piece(70000, 5), 30000)
    seen.append(os.pread(r, 100000, 10000))
    b = os.open(name, os.O_RDWR)
    seen.append(os.pread(b, 1000, 29900))
    n = mmap.mmap(b, 200000)
    n[150000:150005] = b"HELLO"
    n.flush()
    os.pwrite(w, b"-", 150001)
    seen.append(os.pread(b, 10, 149999))
    m.close()
    n.close()
    os.close(w)
    seen.append(os.pread(r, 100000, 100000))
    os.close(b)
    os.close(r)
    return seen + [get(name)]


def seeks_back(d):
    """As zipfile and numpy.savez do: go back to a header."""
    with open(d + "/zip", "w+b") as f:
        for i in range(20):
            at = f.tell()
            f.write(b"\0" * 30)
            f.write(piece(100000, i))
            end = f.tell()
            f.seek(at)
            f.write(b"header of %3d" % i)
            f.seek(end)
    return get(d + "/zip")


def renames(d):
    put(d + "/a", b"first")
    put(d + "/b", b"second")
    os.rename(d + "/a", d + "/b")
    os.replace(d + "/b", d + "/c")
    fd = os.open(d + "/tmp", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    os.ftruncate(fd, 2 * MIB)
    os.pwrite(fd, piece(2 * MIB), 0)
    os.rename(d + "/tmp", d + "/c")  # open and not yet committed
    os.close(fd)
    return sorted(x for x in os.listdir(d) if len(x) == 1), get(d + "/c"), \
        failing(lambda: os.stat(d + "/tmp"))


def made_by_readers(d):
    """Opens that write nothing, and make or empty a file all the same."""
    for flags in os.O_CREAT, os.O_CREAT | os.O_EXCL:
        os.close(os.open(d + "/lock%d" % flags, os.O_RDONLY | flags, 0o644))
    put(d + "/emptied", piece(100000))
    fd = os.open(d + "/emptied", os.O_RDONLY | os.O_TRUNC)
    said = failing(lambda: os.write(fd, b"no"))
    os.close(fd)
    return said, os.stat(d + "/emptied").st_size, \
        sorted(x for x in os.listdir(d) if x.startswith("lock"))


def removes(d):
    put(d + "/gone", b"soon")
    fd = os.open(d + "/gone", os.O_RDONLY)
    os.unlink(d + "/gone")
    seen = os.read(fd, 10)
    os.close(fd)
    fd = os.open(d + "/never", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"never there")
    os.unlink(d + "/never")
    seen += os.pread(fd, 100, 0)
    os.close(fd)
    put(d + "/gone", b"again")
    return seen, get(d + "/gone"), failing(lambda: os.stat(d + "/never")), \
        failing(lambda: os.unlink(d + "/never"))


def directories(d):
    os.mkdir(d + "/dir")
    os.makedirs(d + "/deep/er/still")
    put(d + "/deep/er/still/f", b"leaf")
    said = [failing(lambda: os.mkdir(d + "/dir")),
            failing(lambda: os.rmdir(d + "/deep/er")),
            failing(lambda: os.unlink(d + "/dir")),
            failing(lambda: os.rmdir(d + "/log"))]
    os.rmdir(d + "/dir")
    said.append(failing(lambda: os.rmdir(d + "/dir")))
    os.unlink(d + "/deep/er/still/f")
    os.rmdir(d + "/deep/er/still")
    return said, os.listdir(d + "/deep"), os.path.exists(d + "/dir")


def long_names(d):
    longest, too_long = d + "/" + "n" * 255, d + "/" + "n" * 256
    put(longest, b"long")
    return [failing(lambda: do(too_long)) for do in
            (os.stat, os.mkdir, os.unlink, os.rmdir, os.mkfifo,
             lambda to: put(to, b""), lambda to: os.rename(longest, to),
             lambda to: os.stat(to + "/below"))]


def many(d):
    os.mkdir(d + "/many")
    for i in range(300):
        put(d + "/many/%d" % i, piece(i * 7, i))
    for i in range(0, 300, 3):
        os.unlink(d + "/many/%d" % i)
    return sorted(os.listdir(d + "/many")), \
        [get(d + "/many/%d" % i) for i in range(1, 300, 3)]


def tree(d):
    out = {}
    for at, subdirs, files in os.walk(d):
        for name in files:
            path = os.path.join(at, name)
            out[os.path.relpath(path, d)] = get(path)
        for name in subdirs:
            out[os.path.relpath(os.path.join(at, name), d) + "/"] = None
    return out


def same(what, a, b):
    if a != b:
        if isinstance(a, dict):
            odd = [k for k in sorted(set(a) | set(b))
                   if k not in a or k not in b or a[k] != b[k]]
            sys.exit("%s: they differ in %s" % (what, odd[:20]))
        sys.exit("%s: %.300r and not %.300r" % (what, a, b))


for step in (sequential, tiny_writes, appends,
             listed_meanwhile, in_place, truncates, sparse,
             exclusive, read_while_written, two_writers, fsyncs, mapped, beside_a_writer,
             seeks_back, renames, made_by_readers, removes, directories,
             long_names, many):
    print(step.__name__, flush=True)
    same(step.__name__, step(dirs[0]), step(dirs[1]))
    same("after " + step.__name__, tree(dirs[0]), tree(dirs[1]))
