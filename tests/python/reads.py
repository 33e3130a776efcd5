# SPDX-License-Identifier: Apache-2.0
"""Compare files of two directories by every way of reading.

reads.py WAY SOURCE-DIR MOUNT-DIR
WAY: sequential, random, mmap, direct, sendfile, splice, threads, all
"""
import errno
import mmap
import os
import random
import sys
import threading

SRC, MNT = sys.argv[2], sys.argv[3]
rnd = random.Random(42)


def both(name):
    return os.path.join(SRC, name), os.path.join(MNT, name)


def want_of(name):
    with open(both(name)[0], "rb") as f:
        return f.read()


def check(ok, *what):
    if not ok:
        raise SystemExit("reads.py: differs: " + " ".join(map(str, what)))


def sequential(name, want):
    for chunk in (4096, 65536, 1 << 20, 7777777):
        got = bytearray()
        fd = os.open(both(name)[1], os.O_RDONLY)
        while True:
            b = os.read(fd, chunk)
            if not b:
                break
            got += b
        os.close(fd)
        check(got == want, name, "sequential", chunk, len(got), len(want))


def offsets(size):
    edges = [0, 1, 4095, 4096, 65535, 65536, 65537, 1 << 20, size - 1, size]
    yield from (o for o in edges if 0 <= o <= size)
    for _ in range(40):
        yield rnd.randrange(size + 1)
    yield size + 1
    yield size + 100000


def preads(name, want, flags, way):
    fd = os.open(both(name)[1], os.O_RDONLY | flags)
    buf = mmap.mmap(-1, 1 << 20)
    try:
        for off in offsets(len(want)):
            n = rnd.choice((1, 100, 4096, 65536, 200000, 1 << 20))
            try:
                got = os.preadv(fd, [memoryview(buf)[:n]], off)
            except OSError as e:
                check(False, name, way, off, n, errno.errorcode[e.errno])
            check(buf[:got] == want[off : off + n], name, way, off, n, got)
    finally:
        os.close(fd)


def random_(name, want):
    preads(name, want, 0, "random")


def direct(name, want):
    preads(name, want, os.O_DIRECT, "direct")


def mmap_(name, want):
    if not want:
        return
    with open(both(name)[1], "rb") as f:
        m = mmap.mmap(f.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ)
        for off in offsets(len(want)):
            check(m[off : off + 9000] == want[off : off + 9000], name, "mmap", off)
        check(m[:] == want, name, "mmap whole")
        m.close()


def sendfile(name, want):
    out = os.memfd_create("out")
    fd = os.open(both(name)[1], os.O_RDONLY)
    done = 0
    while True:
        n = os.sendfile(out, fd, done, 1 << 20)
        if n == 0:
            break
        done += n
    check(os.pread(out, len(want) + 1, 0) == want, name, "sendfile", done)
    os.close(fd)
    os.close(out)


def splice(name, want):
    got = bytearray()
    fd = os.open(both(name)[1], os.O_RDONLY)
    r, w = os.pipe()
    while True:
        n = os.splice(fd, w, 65536)
        if n == 0:
            break
        while n:
            b = os.read(r, n)
            got += b
            n -= len(b)
    check(got == want, name, "splice", len(got))
    for x in (fd, r, w):
        os.close(x)


def threads(name, want):
    bad = []

    def one(seed):
        g = random.Random(seed)
        fd = os.open(both(name)[1], os.O_RDONLY)
        for _ in range(20):
            off = g.randrange(len(want) + 1)
            n = g.choice((1, 4096, 65536, 1 << 20))
            if os.pread(fd, n, off) != want[off : off + n]:
                bad.append((off, n))
        os.close(fd)

    ts = [threading.Thread(target=one, args=(i,)) for i in range(16)]
    for t in ts:
        t.start()
    for t in ts:
        t.join()
    check(not bad, name, "threads", bad[:3])


WAYS = {
    "sequential": sequential,
    "random": random_,
    "mmap": mmap_,
    "direct": direct,
    "sendfile": sendfile,
    "splice": splice,
    "threads": threads,
}


def main():
    ways = WAYS.values() if sys.argv[1] == "all" else [WAYS[sys.argv[1]]]
    for where, _, names in os.walk(SRC):
        for n in sorted(names):
            name = os.path.relpath(os.path.join(where, n), SRC)
            want = want_of(name)
            size = os.stat(both(name)[1]).st_size
            check(size == len(want), name, "st_size", size, len(want))
            for way in ways:
                way(name, want)


main()
