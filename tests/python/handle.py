# SPDX-License-Identifier: Apache-2.0
"""handle.py PATH OBJSIM KEY SIZE OLD NEW: S2, on one object.

Puts KEY of SIZE bytes made from the seed OLD, opens PATH and reads its first
bytes; puts the same with NEW, of the same second; then the handle must give
the old bytes or ESTALE, and a new open the new ones, after which the old
handle is asked once more. Prints how many reads were ESTALE meanwhile.
"""
import errno
import os
import subprocess
import sys

path, sim, key, size, old, new = sys.argv[1:7]
size = int(size)


def data(seed):
    subprocess.check_call(
        ["curl", "-fsS", "-X", "POST", sim + "/_sim/put?bucket=bucket&key=%s"
         "&mtime=1700000000&size=%d&seed=%s" % (key, size, seed)])
    return subprocess.check_output(
        ["curl", "-fsS", sim + "/_sim/get?bucket=bucket&key=" + key])


first = data(old)
fd = os.open(path, os.O_RDONLY)
got = os.pread(fd, 4096, 0)
assert got == first[:4096], "first bytes"
second = data(new)
stale = 0
for off in list(range(0, size, 65536)) + [size - 100, size // 2]:
    try:
        b = os.pread(fd, 65536, off)
        assert b == first[off:off + 65536], (
            "mixed", off, b == second[off:off + 65536])
    except OSError as e:
        assert e.errno == errno.ESTALE, e
        stale += 1
fd2 = os.open(path, os.O_RDONLY)
b = b"".join(iter(lambda: os.read(fd2, 1 << 20), b""))
assert b == second, ("new open: old bytes" if b == first
                     else "new open: wrong bytes")
try:
    b = os.pread(fd, 100, size - 100)
    assert b == first[-100:], "old handle after the new open"
except OSError as e:
    assert e.errno == errno.ESTALE, e
print(stale)
