# SPDX-License-Identifier: Apache-2.0
"""Move a directory to and fro while threads write files in it.

moving.py DIR SECONDS: below DIR, `a` is renamed to `b` and back. Writers reach
it by a descriptor, as whoever has it as his working directory: they make files,
write them again, append to them, remove some. At the end it has just the files
that they were told of, with their bytes. Prints how often it was moved.
"""
import os
import sys
import threading
import time

top, seconds = sys.argv[1], float(sys.argv[2])
os.mkdir(top + "/a")
os.mkdir(top + "/a/sub")
fd = os.open(top + "/a", os.O_RDONLY | os.O_DIRECTORY)
end = time.monotonic() + seconds
failed = []
want = {}


def opener(path, flags):
    return os.open(path, flags, 0o644, dir_fd=fd)


# What it may say while a file has no name yet that is known: it is asked again.
def again(fn):
    while True:
        try:
            return fn()
        except OSError as e:
            # ENOENT: between its old name and its new one.
            if not isinstance(e, FileNotFoundError) or time.monotonic() > end + 20:
                raise
            time.sleep(0.01)


def write(name, mode, text):
    def once():
        with open(name, mode, opener=opener) as f:
            f.write(text)
    again(once)


def writer(who):
    mine = {}
    try:
        n = 0
        while time.monotonic() < end:
            n += 1
            name = "%s%d-%d" % ("sub/" if n % 3 == 0 else "", who, n % 7)
            text = "%d of %d\n" % (n, who)
            if n % 5 == 4 and name in mine:
                again(lambda: os.unlink(name, dir_fd=fd))
                del mine[name]
            elif n % 2 and name in mine:
                write(name, "a", text)
                mine[name] += text
            else:
                write(name, "w", text)
                mine[name] = text
    except Exception as e:
        failed.append("writer %d: %s: %r" % (who, name, e))
    want.update(mine)


threads = [threading.Thread(target=writer, args=(i,)) for i in range(3)]
for t in threads:
    t.start()
moves = 0
here, there = top + "/a", top + "/b"
while any(t.is_alive() for t in threads):
    os.rename(here, there)
    here, there = there, here
    moves += 1
    time.sleep(0.05)
for t in threads:
    t.join()
if failed:
    sys.exit("; ".join(failed))
got = {}
for where, _, names in os.walk(here):
    for n in names:
        path = os.path.join(where, n)
        with open(path) as f:
            got[os.path.relpath(path, here)] = f.read()
for name in sorted(want.keys() | got.keys()):
    if want.get(name) != got.get(name):
        sys.exit("%s is %r instead of %r" % (name, got.get(name), want.get(name)))
if os.path.exists(there):
    sys.exit("%s is there: %s" % (there, os.listdir(there)))
print(moves)
