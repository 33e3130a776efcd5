# SPDX-License-Identifier: Apache-2.0
"""scripts/bench --write: against a bare HTTP client that puts the same bytes.

The store's data is on tmpfs, the staging and the cache below --dir; `+15 ms`
is the same store through toxiproxy. What a mount has written is removed
before the next run, by the store's own means.
"""
import os
import random
import re
import shutil
import statistics
import subprocess
import tempfile
import time
import zipfile

from benchlib import (BUILD, HTTPBENCH, Delay, Store, run,
                      show, status, tarn_mount)
from s3 import S3

WRITEBENCH = os.path.join(BUILD, "tests/tools/writebench")
OBJSIM = os.path.join(BUILD, "tests/tools/objsim")
PART = 8 << 20
BIG = 4 << 30
LARGE = 2 << 30
FILES = 1000
CHUNK = 1 << 20


def writebench(*words):
    """Seconds and bytes of one of its works."""
    seconds, size, _ = run(WRITEBENCH, *[str(w) for w in words]).split()
    return float(seconds), int(size)


def blocks(size, seed):
    """So many bytes, a MiB at a time, no two alike."""
    chunk = bytearray(random.Random(seed).randbytes(CHUNK))
    for at in range(0, size, CHUNK):
        chunk[:8] = at.to_bytes(8, "little")
        yield memoryview(chunk)[:min(CHUNK, size - at)]


class Bare:
    """httpbench as a client that puts."""

    def __init__(self, base, client):
        self.base, self.client = base, client
        self.requests = os.path.join(base, "requests")

    def put(self, connections, lines, body):
        """Seconds and the ETags."""
        with open(self.requests, "w") as f:
            f.write("\n".join(lines) + "\n")
        out = run(HTTPBENCH, str(connections), self.requests, body).split("\n")
        return float(out[0].split()[0]), out[1:-1]

    def files(self, connections, n, body):
        lines = [self.client.presign(b"files/%06d.bin" % i, method="PUT")
                 for i in range(n)]
        return self.put(connections, lines, body)[0]

    def upload(self, connections, key, body):
        size = os.path.getsize(body)
        answer = self.client.must("POST", key, query=[("uploads", None)])[1]
        upload = re.search(b"<UploadId>(.*?)</UploadId>", answer).group(1)
        lines = []
        for number, at in enumerate(range(0, size, PART), 1):
            url = self.client.presign(
                key, [("partNumber", b"%d" % number), ("uploadId", upload)],
                "PUT")
            lines.append("%s %d-%d" % (url, at, min(at + PART, size) - 1))
        # Signing in Python is not what a client in C would take.
        seconds, tags = self.put(connections, lines, body)
        parts = "".join("<Part><PartNumber>%d</PartNumber><ETag>%s</ETag>"
                        "</Part>" % (i, tag)
                        for i, tag in enumerate(tags, 1))
        begin = time.monotonic()
        answer = self.client.must(
            "POST", key, query=[("uploadId", upload)], body=(
                "<CompleteMultipartUpload>%s</CompleteMultipartUpload>"
                % parts).encode())[1]
        assert b"CompleteMultipartUploadResult" in answer, answer
        return seconds + time.monotonic() - begin


class Works:
    def __init__(self, base, args, stack):
        self.base, self.args, self.stack = base, args, stack
        self.rows, self.peaks = [], []
        self.tmpfs = tempfile.mkdtemp(prefix="tarn-bench-", dir="/dev/shm")
        stack.callback(shutil.rmtree, self.tmpfs, ignore_errors=True)
        self.store = Store(self.tmpfs)
        stack.callback(self.store.stop)
        self.far = Delay(self.store, 15)
        stack.callback(self.far.stop)
        self.memory = ",memory=" + args.memory if args.memory else ""

    def wanted(self, name):
        return not self.args.only or name in self.args.only

    def mount(self, url, options=""):
        m = tarn_mount("tarn", self.base, url, ",rw,staging-dir=%s%s%s" % (
            os.path.join(self.base, "staging"), self.memory, options))
        self.stack.callback(m.stop)
        return m

    def empty(self):
        """Nothing is in the store."""
        for root in os.listdir(self.tmpfs + "/store/bench"):
            path = "%s/store/bench/%s" % (self.tmpfs, root)
            if os.path.isdir(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)

    def body(self, size):
        """A file of so many bytes for the bare client, on the disk."""
        path = os.path.join(self.base, "body-%d" % size)
        if not os.path.exists(path):
            with open(path, "wb") as f:
                for piece in blocks(size, size):
                    f.write(piece)
        return path

    def add(self, name, ratios, target, cpu=0.0, size=0, note="", **more):
        self.rows.append({
            "mount": "tarn", "work": name, "target": target,
            "ratio": statistics.median(ratios), "min": min(ratios),
            "max": max(ratios),
            "cpu_s_per_gb": cpu / (size / 1e9) if size else 0.0,
            "note": note, **more})
        show(self.rows[-1])

    def compare(self, name, reference, where, work, target, options=""):
        """reference() and work(mount) in turn: its seconds over ours."""
        if not self.wanted(name):
            return
        m, ratios, cpu, size, note = None, [], 0.0, 0, ""
        for round_ in range(self.args.rounds + 1):
            took = {}
            for who in (0, 1) if round_ % 2 else (1, 0):
                self.empty()
                os.sync()
                if who == 0:
                    took[0] = reference()
                    continue
                m = self.mount(where.url, options)
                m.forget()
                m.start("")
                before = m.cpu()
                took[1], n = work(m)
                if round_ > 0:
                    cpu += m.cpu() - before
                    size += n
                out = status(m)["store"]
                note = "%d PUT, %.2f bytes out a byte" % (
                    out["put"], out["bytes_out"] / n)
                self.peaks.append(m.peak())
                m.stop()
            if round_ > 0:  # the first one warms both
                ratios.append(took[0] / took[1])
        self.empty()
        self.add(name, ratios, target, cpu, size, note)

    def sequential(self):
        bare = Bare(self.base, self.store.client)
        self.compare("write 4 GiB, s3",
                     lambda: bare.upload(8, b"big.bin", self.body(BIG)),
                     self.store,
                     lambda m: writebench("seq", m.dir + "/big.bin", BIG), 0.8)

    def writeback(self):
        local = os.path.join(self.base, "local.bin")

        def ext4():
            seconds = writebench("seq", local, BIG, "fsync")[0]
            os.unlink(local)
            return seconds

        self.compare("write 4 GiB, writeback: ext4", ext4, self.store,
                     lambda m: writebench("seq", m.dir + "/big.bin", BIG), 0.8,
                     ",commit=writeback")

    def files(self):
        for name, where, size, threads, target in (
                ("1000 x 4 KiB, s3", self.store, 4096, 1, 0.6),
                ("1000 x 110 KB, +15 ms", self.far, 110_000, 8, 0.7)):
            bare = Bare(self.base, where.client)

            def work(m, size=size, threads=threads):
                os.mkdir(m.dir + "/files")
                return writebench("files", m.dir + "/files", FILES, size,
                                  threads)

            self.compare(name, lambda bare=bare, size=size, threads=threads:
                         bare.files(threads, FILES, self.body(size)), where,
                         work, target)

    def sent(self, name, work, target):
        """Bytes that went out for each byte of the file."""
        if not self.wanted(name):
            return
        ratios = []
        for _ in range(self.args.rounds):
            self.empty()
            m = self.mount(self.store.url)
            m.forget()
            m.start("")
            size = work(m.dir)
            store = status(m)["store"]
            assert size == sum(
                os.path.getsize(m.dir + "/" + n) for n in os.listdir(m.dir))
            self.peaks.append(m.peak())
            m.stop()
            ratios.append(store["bytes_out"] / size)
        self.empty()
        self.add(name, ratios, target, most=True,
                 note="%d PUT, %d copies" % (store["put"], store["copy"]))

    def formats(self):
        def torch_save(where):
            with open(where + "/model.pt", "wb", buffering=0) as f:
                for piece in blocks(LARGE, 1):
                    f.write(piece)
            return LARGE

        def hdf5(where):
            with open(where + "/data.h5", "w+b", buffering=0) as f:
                f.write(b"\x89HDF\r\n\x1a\n" + bytes(2040))
                for piece in blocks(LARGE, 2):
                    f.write(piece)
                f.seek(0)
                f.write(b"\x89HDF\r\n\x1a\n" + b"\xff" * 88)
            return LARGE + 2048

        def npz(where):
            path = where + "/arrays.npz"
            with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, True) as z:
                for i in range(4):
                    with z.open("array%d.npy" % i, "w", force_zip64=True) as f:
                        for piece in blocks(LARGE // 4, i):
                            f.write(piece)
            return os.path.getsize(path)

        def renamed(where):
            """As safetensors does: while it is open and not committed."""
            fd, name = tempfile.mkstemp(prefix=".tmp", dir=where)
            for piece in blocks(1 << 30, 3):
                os.write(fd, piece)
            os.rename(name, where + "/model.safetensors")
            os.close(fd)
            return 1 << 30

        self.sent("torch.save 2 GiB: sent", torch_save, 1.02)
        self.sent("HDF5 2 GiB: sent", hdf5, 1.02)
        self.sent("NPZ 2 GiB: sent", npz, 1.02)
        self.sent("1 GiB renamed: sent", renamed, 1.0001)

    def append(self):
        """To an object of 10 GiB, in objsim, which copies by reference."""
        name = "append 1 MiB to 10 GiB: sent"
        if not self.wanted(name):
            return
        sim = subprocess.Popen([OBJSIM], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
        self.stack.callback(sim.kill)
        url = "http://127.0.0.1:" + sim.stdout.readline().strip()
        client = S3(url, "bench")
        client.must("PUT")
        piece, count = 256 << 20, 40
        client.must("PUT", b"piece", body=b"".join(blocks(piece, 5)))
        answer = client.must("POST", b"big.bin", query=[("uploads", None)])[1]
        upload = re.search(b"<UploadId>(.*?)</UploadId>", answer).group(1)
        parts = ""
        for i in range(1, count + 1):
            answer = client.must(
                "PUT", b"big.bin", query=[("partNumber", b"%d" % i),
                                          ("uploadId", upload)],
                extra={"x-amz-copy-source": "/bench/piece"})[1].decode()
            parts += "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>" % (
                i, re.search("<ETag>(.*?)</ETag>", answer).group(1))
        client.must("POST", b"big.bin", query=[("uploadId", upload)],
                    body=("<CompleteMultipartUpload>%s"
                          "</CompleteMultipartUpload>" % parts).encode())
        m = self.mount(url)
        m.forget()
        m.start("")
        with open(m.dir + "/big.bin", "ab") as f:
            f.write(bytes(CHUNK))
        store = status(m)["store"]
        assert os.path.getsize(m.dir + "/big.bin") == piece * count + CHUNK
        m.stop()
        sim.stdin.close()
        sim.wait()
        self.add(name, [store["bytes_out"] / CHUNK], 16.0, most=True,
                 unit="M", note="%.2f MiB came in, %d copies" % (
                     store["bytes_in"] / CHUNK, store["copy"]))

    def writers(self):
        """Memory with 64 of them."""
        name = "64 writers: memory"
        if not self.wanted(name):
            return
        limit = 512 << 20
        m = self.mount(self.store.url, ",memory=512M")
        m.forget()
        m.start("")
        os.mkdir(m.dir + "/streams")
        writebench("streams", m.dir + "/streams", 64, 64 << 20)
        peak = m.peak()
        m.stop()
        self.empty()
        self.add(name, [peak / limit], 1.0, most=True,
                 note="%d MiB of 512" % (peak >> 20))


def bench(base, args, stack):
    """(rows, figures)"""
    w = Works(base, args, stack)
    w.sequential()
    w.writeback()
    w.files()
    w.formats()
    w.append()
    w.writers()
    peak = max(w.peaks, default=0)
    print("tarn: peak memory %.0f MiB" % (peak / 2**20))
    return w.rows, {"peak_memory": peak}
