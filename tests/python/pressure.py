# SPDX-License-Identifier: Apache-2.0
"""Readers that never stop: each read is of a page that no one read before.

pressure.py FILE THREADS STOP-FILE
Reads until STOP-FILE exists; prints how many reads there were, how many
failed, how many took more than a second, the longest one in seconds, and the
first error.
"""
import os
import random
import sys
import threading
import time

PAGE = 64 << 10
path, threads, stop = sys.argv[1], int(sys.argv[2]), sys.argv[3]
pages = os.stat(path).st_size // PAGE
lock = threading.Lock()
reads, errors, slow, longest, first = 0, 0, 0, 0.0, ""


def run(seed):
    global reads, errors, slow, longest, first
    rnd = random.Random(seed)
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    # Each thread has pages of its own.
    mine = list(range(seed, pages, threads))
    rnd.shuffle(mine)
    for page in mine:
        if os.path.exists(stop):
            break
        began = time.monotonic()
        try:
            ok, why = len(os.pread(fd, 4096, page * PAGE)) == 4096, "short"
        except OSError as e:
            ok, why = False, str(e)
        took = time.monotonic() - began
        with lock:
            reads += 1
            slow += took > 1
            longest = max(longest, took)
            if not ok:
                errors += 1
                first = first or why
    os.close(fd)


all_of_them = [threading.Thread(target=run, args=(i,)) for i in range(threads)]
for t in all_of_them:
    t.start()
for t in all_of_them:
    t.join()
print(reads, errors, slow, "%.1f" % longest, first)
