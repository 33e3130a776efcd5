# SPDX-License-Identifier: Apache-2.0
"""Many readers of the same files at once.

herd.py DIR READERS NAME...
Each reader reads all files, in an order of its own. Prints SHA-256 and name of
each file once, and more than once if readers got different bytes.
"""
import concurrent.futures
import hashlib
import os
import random
import sys

top, readers, names = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
tasks = names * readers
random.Random(top).shuffle(tasks)


def read(name):
    with open(os.path.join(top, name), "rb", buffering=0) as f:
        got = hashlib.sha256()
        while True:
            b = f.read(1 << 20)
            if not b:
                return "%s  %s" % (got.hexdigest(), name)
            got.update(b)


with concurrent.futures.ThreadPoolExecutor(max(readers, len(names))) as pool:
    for line in sorted(set(pool.map(read, tasks))):
        print(line)
