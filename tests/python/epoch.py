# SPDX-License-Identifier: Apache-2.0
"""Read files one after the other and compare them with what they must be.

epoch.py DIR SUMS PROGRESS
SUMS: lines of SHA-256 and name, as sha256sum writes them, read in this order.
PROGRESS is a file that always holds how many bytes have been read so far.
Prints the seconds that the longest read took; ends with 1 and what differs.
"""
import hashlib
import os
import sys
import time

top, sums, progress = sys.argv[1:]
CHUNK = 256 << 10
done, longest = 0, 0.0
said = os.open(progress, os.O_WRONLY | os.O_CREAT, 0o600)


def say():
    os.pwrite(said, b"%015d\n" % done, 0)


say()
for line in open(sums):
    want, name = line.split(None, 1)
    name = name.strip()
    got = hashlib.sha256()
    size = 0
    begun = time.monotonic()
    try:
        fd = os.open(os.path.join(top, name), os.O_RDONLY)
        while True:
            b = os.read(fd, CHUNK)
            longest = max(longest, time.monotonic() - begun)
            if not b:
                break
            got.update(b)
            size += len(b)
            done += len(b)
            say()
            begun = time.monotonic()
        os.close(fd)
    except OSError as e:
        raise SystemExit("%s at %d: %s" % (name, size, e))
    if got.hexdigest() != want:
        raise SystemExit("%s: %d bytes that differ" % (name, size))
print("%.3f" % longest)
