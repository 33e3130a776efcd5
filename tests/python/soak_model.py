# SPDX-License-Identifier: Apache-2.0
"""What a bucket holds and held: which bytes a read may give at a moment.

A change begins when it is sent to the store and ends when the store has
answered; in between the old and the new version are both right. A mount may
show the old one for as long as its metadata lives (`window` seconds) after
that. All times are time.monotonic().
"""
import hashlib
import random
import threading
import time

DIRS = ["d%d" % i for i in range(6)] + ["with space", "ünïcode/deep"]
FILES = 24  # a directory


def content(seed, size):
    """The bytes of a version: any other seed gives others."""
    return hashlib.shake_128(b"%d" % seed).digest(size)


class Version:
    def __init__(self, seed, size, start):
        self.seed, self.size = seed, size  # size None: there is no object
        self.start, self.end = start, None
        self.digest = None if size is None else content(seed, size)

    @property
    def absent(self):
        return self.size is None


class Key:
    def __init__(self, name):
        self.name = name
        self.history = [Version(0, None, 0)]

    def allowed(self, begin, end, window):
        """The versions that an operation of [begin, end] may have met."""
        return [v for v in self.history
                if v.start <= end
                and (v.end is None or v.end + window >= begin)]

    def begin_change(self, version):
        self.history.append(version)

    def end_change(self):
        self.history[-2].end = time.monotonic()
        # What is long gone is nobody's answer any more.
        old = time.monotonic() - 120
        self.history = [v for v in self.history
                        if v.end is None or v.end > old]


class Model:
    def __init__(self, seed):
        self.rnd = random.Random(seed)
        self.lock = threading.Lock()
        self.next_seed = 1
        self.keys = {"%s/f%02d" % (d, i): Key("%s/f%02d" % (d, i))
                     for d in DIRS for i in range(FILES)}

    def new_version(self):
        """Mostly small, some with a map, a few of several segments of fills;
        now and then empty."""
        x = self.rnd.random()
        if x < 0.02:
            size = 0
        elif x < 0.75:
            size = self.rnd.randrange(1, 200000)
        elif x < 0.95:
            size = self.rnd.randrange(200000, 3 << 20)
        else:
            size = self.rnd.randrange(3 << 20, 12 << 20)
        with self.lock:
            self.next_seed += 1
            seed = self.next_seed
        return Version(seed, size, time.monotonic())

    def absent(self):
        return Version(0, None, time.monotonic())

    def allowed(self, name, begin, end, window):
        with self.lock:
            return self.keys[name].allowed(begin, end, window)

    def begin_change(self, name, version):
        with self.lock:
            version.start = time.monotonic()
            self.keys[name].begin_change(version)

    def end_change(self, name):
        with self.lock:
            self.keys[name].end_change()

    def now(self, name):
        with self.lock:
            return self.keys[name].history[-1]
