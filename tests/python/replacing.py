# SPDX-License-Identifier: Apache-2.0
"""Rename new files over old ones, then the directory that they are in.

replacing.py DIR [again]: makes DIR. In each directory of it a file is written,
renamed over one that was closed before, and only closed when the directory was
renamed, once or to and fro. With `again` it only looks at what is there.
"""
import os
import sys

top = sys.argv[1]
look = len(sys.argv) > 2
# How often it is renamed, the old file's bytes, whether another appends too.
CASES = [(n, old, app) for n in (1, 2, 3) for old in (b"old", b"o" * 70000)
         for app in (False, True)]


def replace(path, moves, old, appends):
    os.makedirs(path + "/sub")
    for name in ("e", "sub/e"):
        with open("%s/%s" % (path, name), "wb") as f:
            f.write(old)
            os.fsync(f.fileno())
    made = {}
    for name in ("e", "sub/e"):
        new = "%s/%s-new" % (path, name)
        made[name] = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        os.write(made[name], b"new")
        os.rename(new, "%s/%s" % (path, name))
        if appends:
            with open("%s/%s" % (path, name), "ab") as f:
                f.write(b", more")
    here, there = path, path + "-moved"
    for _ in range(moves):
        os.rename(here, there)
        here, there = there, here
    for name, fd in made.items():
        os.pwrite(fd, b"N", 0)
        os.close(fd)
    return here


def check(path, appends):
    want = b"New, more" if appends else b"New"
    for name in ("e", "sub/e"):
        with open("%s/%s" % (path, name), "rb") as f:
            got = f.read()
        if got != want:
            sys.exit("%s/%s is %r instead of %r" % (path, name, got[:40], want))


if not look:
    os.mkdir(top)
for i, (moves, old, appends) in enumerate(CASES):
    path = "%s/%d" % (top, i)
    if look:
        check(path + "-moved" if moves % 2 else path, appends)
    else:
        check(replace(path, moves, old, appends), appends)
