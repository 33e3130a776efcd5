# SPDX-License-Identifier: Apache-2.0
"""scripts/bench --cold: nothing cached, against a bare HTTP client.

Each run is a new mount with an empty cache directory. The store's data is
on tmpfs; `+15 ms` is the same store through toxiproxy.
"""
import multiprocessing
import os
import random
import re
import shutil
import statistics
import subprocess
import tempfile
import time

from benchlib import (BIG, FILES, READERS, Delay, Minio, Store, bare,
                      drop_caches, find, make_data, readbench, rivals, show,
                      status, tarn_mount)
from s3 import S3

PART = 8 << 20
READS = 2000
ENTRIES = 100_000
PUTTERS = 8


def put_part(url, part):
    client = S3(url, "bench")
    for i in range(part, ENTRIES, PUTTERS):
        client.must("PUT", b"many/%06d.bin" % i, body=b"x" * (i % 7))


class Works:
    """What is measured: a reference's seconds over a mount's."""

    def __init__(self, base, args, stack):
        self.base, self.args = base, args
        self.rows, self.firsts, self.peaks = [], [], []
        tmpfs = tempfile.mkdtemp(prefix="tarn-bench-", dir="/dev/shm")
        stack.callback(shutil.rmtree, tmpfs, ignore_errors=True)
        self.store = Store(tmpfs)
        stack.callback(self.store.stop)
        self.far = Delay(self.store, 15)
        stack.callback(self.far.stop)
        self.local = make_data(base, self.store)
        self.tmpfs, self.stack = tmpfs, stack

    def wanted(self, name):
        return not self.args.only or name in self.args.only

    def compare(self, name, reference, mounts, work, target, most=False):
        """Interleave reference() with work(mount, seed) on new mounts."""
        if not self.wanted(name):
            return
        for m in mounts:
            self.stack.callback(m.stop)
            ratios, cpu, size, note = [], 0.0, 0, ""
            for seed in range(1, self.args.rounds + 1):
                took = [reference(seed)] if seed % 2 else []
                m.forget()
                first = m.start()
                before = m.cpu()
                mine, n, note = work(m, seed)
                cpu += m.cpu() - before
                size += n
                if m.name.startswith("tarn"):
                    self.peaks.append(m.peak())
                    if m.url == self.far.url:
                        self.firsts.append(first)
                m.stop()
                if not took:
                    took = [reference(seed)]
                ratios.append(mine / took[0] if most else took[0] / mine)
            self.rows.append({
                "mount": m.name, "work": name,
                "target": target if m.name == "tarn" else None,
                "most": most, "ratio": statistics.median(ratios),
                "min": min(ratios), "max": max(ratios),
                "cpu_s_per_gb": cpu / (size / 1e9) if size else 0.0,
                "note": note})
            show(self.rows[-1])

    def mounts(self, where, options=""):
        memory = (",memory=" + self.args.memory if self.args.memory else "")
        yield tarn_mount("tarn", self.base, where.url, memory + options)
        if not options:
            yield from rivals(self.base, where.url)

    def sequential(self):
        def work(m, seed):
            seconds, n = readbench(["seq", "BIG"], m.dir, self.base, seed)
            return seconds, n, ""

        for where, name, target in ((self.store, "seq, s3", 0.75),
                                    (self.far, "seq, +15 ms", 0.9)):
            url = where.client.presign(b"big.bin")
            parts = ["%s %d-%d" % (url, o, o + PART - 1)
                     for o in range(0, BIG, PART)]
            self.compare(name, lambda _: bare(self.base, 16, parts),
                         self.mounts(where), work, target)

    def files(self):
        def work(m, seed):
            begin = time.monotonic()
            os.listdir(m.dir + "/files")
            seconds, n = readbench(["files", "LIST", str(READERS), "SEED"],
                                   m.dir, self.base, seed)
            note = "listed in %.2f s" % (time.monotonic() - begin - seconds)
            if m.name == "tarn":
                note += ", %d GET" % status(m)["store"]["get"]
            return seconds, n, note

        for where, name, connections, options, target in (
                (self.store, "files, s3", 16, "", 0.6),
                (self.far, "files, +15 ms", 8, "", 3.0),
                (self.far, "files, +15 ms, prefetch=off", 8, ",prefetch=off",
                 0.9)):
            urls = [where.client.presign(b"files/%05d.bin" % i)
                    for i in range(FILES)]

            def reference(seed, urls=urls, connections=connections):
                random.Random(seed).shuffle(urls)
                return bare(self.base, connections, urls)

            self.compare(name, reference, self.mounts(where, options), work,
                         target)

    def scattered(self):
        url = self.store.client.presign(b"big.bin")

        def reference(seed):
            rng = random.Random(seed)
            pages = [rng.randrange(BIG // 4096) * 4096 for _ in range(READS)]
            return bare(self.base, 1, ["%s %d-%d" % (url, o, o + 4095)
                                       for o in pages])

        def work(m, seed):
            before = self.store.counts()["get"]
            seconds, n = readbench(["rand", "BIG", str(READS), "SEED"],
                                   m.dir, self.base, seed)
            gets = self.store.counts()["get"] - before
            return seconds, n, "%.2f GETs a read" % (gets / READS)

        self.compare("random 4K, s3", reference, self.mounts(self.store),
                     work, 0.7)

    def listing(self):
        names = ("ls -l 100k, +15 ms: LIST", "ls -l 100k, +15 ms: ext4")
        if not any(self.wanted(n) for n in names):
            return
        if find("minio") is None:
            print("listing left out: no minio (scripts/test --all)")
            return
        store = Minio(self.tmpfs)
        self.stack.callback(store.stop)
        far = Delay(store, 15)
        self.stack.callback(far.stop)
        local = os.path.join(self.local, "many")
        os.makedirs(local)
        for i in range(ENTRIES):
            with open("%s/%06d.bin" % (local, i), "wb") as f:
                f.write(b"x" * (i % 7))

        putters = [multiprocessing.Process(target=put_part,
                                           args=(store.url, part))
                   for part in range(PUTTERS)]
        for p in putters:
            p.start()
        for p in putters:
            p.join()

        def pages(_):
            client = S3(far.url, "bench")
            begin, token = time.monotonic(), None
            while True:
                query = [("list-type", b"2"), ("delimiter", b"/"),
                         ("prefix", b"many/"), ("encoding-type", b"url")]
                if token:
                    query.append(("continuation-token", token))
                body = client.must("GET", query=query)[1]
                token = re.search(
                    b"<NextContinuationToken>(.*?)</NextContinuationToken>",
                    body)
                if token is None:
                    return time.monotonic() - begin
                token = token.group(1)

        def ls(path):
            drop_caches()
            begin = time.monotonic()
            out = subprocess.run(["ls", "-l", path], check=True,
                                 stdout=subprocess.PIPE).stdout
            assert out.count(b"\n") == ENTRIES + 1
            return time.monotonic() - begin

        def cold(m, _seed):
            return ls(m.dir + "/many"), 0, ""

        def again(m, _seed):
            ls(m.dir + "/many")
            return min(ls(m.dir + "/many") for _ in range(3)), 0, ""

        def mounts():
            for m in self.mounts(far):
                start = m.start
                m.start = lambda start=start: start("")
                yield m

        self.compare(names[0], pages, mounts(), cold, 0.5, most=True)
        self.compare(names[1], lambda _: min(ls(local) for _ in range(3)),
                     mounts(), again, 1.3, most=True)


def bench(base, args, stack):
    """(rows, figures)"""
    w = Works(base, args, stack)
    w.sequential()
    w.files()
    w.scattered()
    w.listing()
    extra = {"peak_memory": max(w.peaks, default=0),
             "first_stat_far_s": statistics.median(w.firsts or [0])}
    print("tarn: first stat, +15 ms: %.3f s (target 0.25); peak memory %.0f "
          "MiB" % (extra["first_stat_far_s"], extra["peak_memory"] / 2**20))
    return w.rows, extra
