# SPDX-License-Identifier: Apache-2.0
"""Readers of two mounts while workers come and go and objects are overwritten.

churn.py SECONDS SEED TARN SIM TTL W ETCD-PREFIX WORKER-OPTIONS MOUNT...

Five workers, once a second one of them is killed, told to end, stopped for a
while, or started again on what it left. A byte of an object says which object
and version it is of, and where it stands, so each read can be checked alone:

  - all bytes are of the object and place that were asked for;
  - all reads of one handle are of one version, and its size is the file's;
  - that version was the store's within TTL seconds (and some) before the open;
  - nothing fails, but a handle whose version is gone by ESTALE, and not twice
    running for one reason;
  - no read takes longer than 20 seconds.

At the end all workers are started, and both mounts must find all of them up and
read the last version of everything. Prints what was done, as JSON.
"""
import errno
import functools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import urllib.request

seconds, seed = float(sys.argv[1]), int(sys.argv[2])
tarn, sim, ttl, w, etcd, options = sys.argv[3:9]
mounts = sys.argv[9:]
ttl = float(ttl)
WORKERS, SLACK, SLOW = 5, 6.0, 20.0
RECORD = 32
rnd = random.Random(seed)
lock = threading.Lock()
done = {}
failed = []
stop = threading.Event()


def count(what, n=1):
    with lock:
        done[what] = done.get(what, 0) + n


@functools.lru_cache(maxsize=100)
def content(key, version, size):
    n = size // RECORD + 1
    head = "%-12s%06d" % (key, version)
    return "".join("%s%014d" % (head, i) for i in range(n)).encode()[:size]


class Object:
    """versions: (size, when it was the store's, when another became that)."""

    def __init__(self, key, size):
        self.key, self.base = key, size
        self.versions = []

    def put(self):
        version = len(self.versions)
        # Another size, and now and then the same.
        size = self.base + (rnd.randrange(5000) if version % 3 else 0)
        with lock:
            self.versions.append([size, time.monotonic(), None])
        urllib.request.urlopen(urllib.request.Request(
            "%s/_sim/put?bucket=bucket&key=%s" % (sim, self.key),
            data=content(self.key, version, size), method="POST"),
            timeout=60).read()
        if version > 0:
            with lock:
                self.versions[version - 1][2] = time.monotonic()

    def check(self, data, off, opened):
        """The version that these bytes are of."""
        at = (-off) % RECORD
        if len(data) < at + RECORD:
            return None
        first = data[at:at + RECORD]
        try:
            version = int(first[12:18])
            size, _, gone = self.versions[version]
        except (ValueError, IndexError):
            raise AssertionError("%s at %d: no record: %r" % (self.key, off, first))
        if data != content(self.key, version, size)[off:off + len(data)]:
            raise AssertionError("%s at %d, %d bytes: not of version %d" % (
                self.key, off, len(data), version))
        if gone is not None and gone < opened - ttl - SLACK:
            raise AssertionError("%s: version %d was gone for %.1f s" % (
                self.key, version, opened - gone))
        return version


def one_read(o, path, mine):
    opened = time.monotonic()
    fd = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        size = os.fstat(fd).st_size
        whole = o.base < 300000 or mine.random() < 0.2
        spots = [(0, size)] if whole else [
            (mine.randrange(size), mine.randrange(1, 400000)) for _ in range(6)]
        seen = set()
        for off, n in spots:
            while n > 0:
                begun = time.monotonic()
                b = os.pread(fd, min(n, 131072), off)
                took = time.monotonic() - begun
                with lock:
                    done["longest"] = max(done.get("longest", 0), took)
                if took > SLOW:
                    raise AssertionError("%s: a read took %.1f s" % (o.key, took))
                if not b and off < size:
                    raise AssertionError("%s ends at %d, not %d" % (o.key, off, size))
                if not b:
                    break
                version = o.check(b, off, opened)
                if version is not None:
                    seen.add(version)
                off, n = off + len(b), n - len(b)
                count("bytes", len(b))
        if len(seen) > 1:
            raise AssertionError("%s: versions %s in one handle" % (o.key, seen))
        if seen and o.versions[min(seen)][0] != size:
            raise AssertionError("%s: %d bytes of version %s" % (o.key, size, seen))
    finally:
        os.close(fd)


def reader(mount, objects, mine):
    while not stop.is_set():
        o = mine.choice(objects)
        stale = 0
        while True:
            versions = len(o.versions)
            try:
                one_read(o, os.path.join(mount, o.key), mine)
                count("reads")
                break
            except OSError as e:
                # The version that was opened is gone; a new open sees the next.
                stale += 1
                if e.errno != errno.ESTALE or (
                        stale > 3 and versions == len(o.versions)):
                    raise AssertionError("%s: %s" % (o.key, e))
                count("stale")
        time.sleep(0.01)


class Worker:
    def __init__(self, n):
        self.dir = os.path.join(w, "worker%d" % n)
        os.mkdir(self.dir, 0o700)
        self.port = None
        self.process = None
        self.stopped = None
        self.start()

    def start(self):
        if self.port is None:
            self.port = free_port()
        self.begun = self.ended = time.monotonic()
        self.process = subprocess.Popen(
            [tarn, "worker", "s3://bucket", "-f", "-o",
             "listen=127.0.0.1:%d,cache-dir=%s,log=%s.log,workers=%s,%s" % (
                 self.port, self.dir, self.dir, etcd, options)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT)

    def gone(self):
        return self.process.poll() is not None

    def move(self):
        """What becomes of it in this second."""
        if self.gone():
            # 1: it was told to end before it served.
            early = self.ended - self.begun < 3
            if self.process.returncode not in (0, -signal.SIGKILL) and not (
                    early and self.process.returncode == 1):
                raise AssertionError("worker %s ended by %d" % (
                    self.dir, self.process.returncode))
            self.start()
            count("started")
        elif self.stopped is not None:
            self.process.send_signal(signal.SIGCONT)
            self.stopped = None
            count("continued")
        else:
            what = rnd.choice(("killed", "told to end", "stopped"))
            self.process.send_signal({
                "killed": signal.SIGKILL, "told to end": signal.SIGTERM,
                "stopped": signal.SIGSTOP}[what])
            if what == "stopped":
                self.stopped = time.monotonic()
            self.ended = time.monotonic()
            count(what)

    def heal(self):
        if self.stopped is not None:
            self.process.send_signal(signal.SIGCONT)
            self.stopped = None
        if self.gone():
            self.start()

    def end(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()


def free_port():
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    return s.getsockname()[1]


def guarded(f, *args):
    try:
        f(*args)
    except BaseException:
        with lock:
            failed.append(traceback.format_exc())
        stop.set()


def forget():
    """Nothing stays on the mounts' own SSDs for long."""
    n = 0
    while not stop.wait(0.7):
        subprocess.run([tarn, "free", mounts[n % len(mounts)]],
                       stdout=subprocess.DEVNULL, check=True)
        n += 1


def overwrite(objects):
    # Each has an order of its own, so that a seed means the same every run.
    mine = random.Random(seed + 1)
    while not stop.wait(0.4):
        mine.choice(objects).put()
        count("overwritten")


def ring(mount):
    out = subprocess.run([tarn, "status", "--json", mount],
                         stdout=subprocess.PIPE, check=True).stdout
    return json.loads(out)["mounts"][0]["ring"]


def all_up(objects):
    """Both mounts ask all workers again, and read what there is now."""
    until = time.monotonic() + 60
    for m in mounts:
        while True:
            for o in objects:
                one_read(o, os.path.join(m, o.key), rnd)
            states = [x["state"] for x in ring(m)["workers"]]
            if states == ["up"] * WORKERS:
                break
            if time.monotonic() > until:
                raise AssertionError("%s: %s" % (m, states))
            subprocess.run([tarn, "free", m], stdout=subprocess.DEVNULL,
                           check=True)
            time.sleep(0.5)


objects = [Object("d%d/small%d" % (n % 5, n), 500 + 4000 * n) for n in range(50)]
objects += [Object("d9/large%d" % n, 2000000 + 700000 * n) for n in range(5)]
for o in objects:
    o.put()
workers = [Worker(n) for n in range(WORKERS)]
try:
    threads = [threading.Thread(target=guarded, args=a, daemon=True) for a in
               [(reader, mounts[n % len(mounts)], objects, random.Random(n))
                for n in range(4)] + [(forget,), (overwrite, objects)]]
    for t in threads:
        t.start()
    end = time.monotonic() + seconds
    while time.monotonic() < end and not stop.wait(1.0):
        guarded(rnd.choice(workers).move)
    stop.set()
    for t in threads:
        t.join(60)
        if t.is_alive():
            failed.append("a reader never came back")
    if not failed:
        time.sleep(ttl)
        for x in workers:
            x.heal()
        guarded(all_up, objects)
finally:
    for x in workers:
        x.end()
print(json.dumps(done, sort_keys=True))
if failed:
    raise SystemExit(failed[0])
