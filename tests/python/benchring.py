# SPDX-License-Identifier: Apache-2.0
"""scripts/bench --ring: mounts that ask workers.

The store is objsim, whose journal says which bytes left it; `+15 ms` is the
same through toxiproxy. Each mount begins with an empty cache directory; each
worker has one of its own.
"""
import base64
import json
import os
import random
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request

from benchlib import (BIG, BUILD, FILES, FILE_SIZE, READBENCH, READERS, Delay,
                      Service, bare, find, free_port, local_files, show,
                      status, tarn_mount, wait_for)
from benchserver import Alone, Worker, cpu_of

OBJSIM = os.path.join(BUILD, "tests/tools/objsim")
LARGE, LARGES = 256 << 20, 4
SET = 10_000
PART = 8 << 20
READS = 2000
MOUNTS = 4
WORKERS = 3
CAUGHT = 0.3  # of the epoch: when the fault comes


class Sim:
    """objsim with the bucket `bench`."""

    def __init__(self):
        self.process = subprocess.Popen([OBJSIM], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        port = int(self.process.stdout.readline())
        self.url = "http://127.0.0.1:%d" % port
        self.post("bucket?name=bench")
        self.post("put?bucket=bench&key=big.bin&size=%d&seed=1" % BIG)
        for i in range(LARGES):
            self.post("put?bucket=bench&key=large/%d.bin&size=%d&seed=%d"
                      % (i, LARGE, i + 2))
        for prefix, n in (("set/", SET), ("files/", FILES)):
            self.post("many?bucket=bench&prefix=%s&n=%d&size=%d"
                      % (prefix, n, FILE_SIZE))

    def post(self, what):
        urllib.request.urlopen(urllib.request.Request(
            self.url + "/_sim/" + what, b"", method="POST")).close()

    def forget(self):
        self.post("forget")

    def journal(self):
        with urllib.request.urlopen(
                self.url + "/_sim/journal?op=GET&bucket=bench") as r:
            return json.load(r)

    def bytes(self):
        return sum(e["bytes"] for e in self.journal())

    def stop(self):
        self.process.kill()
        self.process.wait()


def duplicates(journal):
    """GETs that asked for bytes that one before them had asked for."""
    asked, twice = {}, []
    for e in journal:
        first, last = 0, 1 << 62
        if e["range"]:
            first, last = (int(w) for w in
                           e["range"].split("=")[1].split("-"))
        before = asked.setdefault(e["key"], [])
        if any(first <= b and a <= last for a, b in before):
            twice.append(e)
        before.append((first, last))
    return twice


class Etcd(Service):
    """An etcd, where workers join and mounts look."""

    def __init__(self, base):
        port, peers = free_port(), free_port()
        self.api = "http://127.0.0.1:%d" % port
        self.workers = "etcd://127.0.0.1:%d/tarn/bench" % port
        super().__init__(
            "etcd", [find("etcd"), "--data-dir", os.path.join(base, "etcd"),
                     "--listen-client-urls", self.api,
                     "--advertise-client-urls", self.api,
                     "--listen-peer-urls", "http://127.0.0.1:%d" % peers],
            self.api + "/health")

    def joined(self):
        """How many workers have."""
        def key(text):
            return base64.b64encode(text).decode()
        with urllib.request.urlopen(urllib.request.Request(
                self.api + "/v3/kv/range", json.dumps({
                    "key": key(b"tarn/bench/"),
                    "range_end": key(b"tarn/bench0"),
                    "count_only": True}).encode())) as r:
            return int(json.load(r).get("count", 0))


class Blackhole:
    """Nothing to or from this port arrives."""

    TABLE = "tarn_bench"
    RULES = """
table inet TABLE {
	chain in {
		type filter hook input priority 0;
		tcp dport PORT counter drop
		tcp sport PORT counter drop
	}
}
"""

    @classmethod
    def dig(cls, port):
        rules = cls.RULES.replace("TABLE", cls.TABLE)
        subprocess.run(["nft", "-f", "-"], check=True, text=True,
                       input=rules.replace("PORT", str(port)))

    @classmethod
    def lift(cls):
        subprocess.run(["nft", "delete", "table", "inet", cls.TABLE],
                       check=False, capture_output=True)


class Later(threading.Thread):
    """Does what, so many seconds after go() was called."""

    def __init__(self, seconds, what):
        super().__init__()
        self.seconds, self.what = seconds, what
        self.done = None  # when
        self.stopped = threading.Event()

    def run(self):
        if not self.stopped.wait(self.seconds):
            self.what()
            self.done = time.monotonic()

    def end(self, epoch_end):
        """It was in time, or there is nothing to be said of it."""
        self.stopped.set()
        self.join()
        if self.done is None or self.done > epoch_end:
            raise SystemExit("bench: what was to come in the middle of an "
                             "epoch did not")


class Epoch:
    """Readers of a list of files on a mount, begun when it is made."""

    def __init__(self, base, mount, names, seed):
        self.begin = time.monotonic()
        listing = os.path.join(base, "list-" + os.path.basename(mount.dir))
        with open(listing, "w") as f:
            f.write("".join("%s/%s\n" % (mount.dir, n) for n in names))
        self.process = subprocess.Popen(
            [READBENCH, "files", listing, str(READERS), str(seed)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def wait(self):
        """Was there no error? Sets seconds, size, p99 and worst."""
        out, self.why = self.process.communicate()
        self.end = time.monotonic()
        if self.process.returncode != 0:
            self.seconds, self.size = self.end - self.begin, 0
            self.p99 = self.worst = self.seconds
            return False
        words = out.split()
        self.seconds, self.size = float(words[0]), int(words[1])
        self.p99, self.worst = float(words[3]), float(words[4])
        return True


class Ring:
    def __init__(self, base, args, stack, rows):
        self.base, self.args, self.stack, self.rows = base, args, stack, rows
        self.sim = Sim()
        stack.callback(self.sim.stop)
        self.memory = ",memory=" + args.memory if args.memory else ""
        self.workers = []
        stack.callback(self.stop_workers)
        self.set = ["large/%d.bin" % i for i in range(LARGES)]
        self.set += ["set/%07d" % i for i in range(SET)]
        self.set_bytes = LARGES * LARGE + SET * FILE_SIZE
        self.files = ["files/%07d" % i for i in range(FILES)]

    def wanted(self, *names):
        return not self.args.only or any(n in self.args.only for n in names)

    def stop_workers(self):
        for w in self.workers:
            w.stop(kill=True)  # also one that is stopped

    def fresh_workers(self, n, join=""):
        """n workers with nothing on their SSD."""
        self.stop_workers()
        for w in self.workers:
            shutil.rmtree(w.cache, ignore_errors=True)
        self.workers = [Worker(self.base, "worker%d" % i, "s3://bench",
                               ",weight=1G,endpoint=" + self.sim.url +
                               self.memory + join)
                        for i in range(n)]
        for w in self.workers[:n - 1] if join else self.workers:
            w.start()
        return "+".join(w.address for w in self.workers)

    def mount(self, name, workers=None, url=None):
        """It is not begun yet."""
        options = self.memory
        if workers:
            options += ",workers=" + workers
        m = tarn_mount(name, self.base, url or self.sim.url, options,
                       cache="cache-" + name)
        self.stack.callback(m.stop)
        return m

    def cpu(self, *mounts):
        pids = [m.pid for m in mounts]
        for w in self.workers:
            pids += w.pids()
        return cpu_of(pids) + sum(w.cpu for w in self.workers)

    def epoch(self, workers, names, seed, during=None):
        """An Epoch of a new mount, its CPU seconds and its status."""
        m = self.mount("tarn", workers)
        m.forget()
        m.start("")
        before = self.cpu(m)
        e = Epoch(self.base, m, names, seed)
        if during:
            during()
        e.right = e.wait()
        e.cpu = self.cpu(m) - before
        e.status = status(m)
        m.stop()
        return e

    def must(self, epoch):
        if not epoch.right:
            raise SystemExit("bench: an epoch that nothing disturbs: "
                             + epoch.why)
        return epoch

    def add(self, name, values, target, cpu=0.0, note="", most=False,
            unit="x"):
        self.rows.append({
            "mount": "tarn", "work": name, "target": target, "most": most,
            "unit": unit, "ratio": statistics.median(values),
            "min": min(values), "max": max(values), "cpu_s_per_gb": cpu,
            "note": note})
        show(self.rows[-1])

    # ---- the rows ---------------------------------------------------------

    def herd(self):
        """Many mounts, nothing cached anywhere: what leaves the store?"""
        names = ("%d mounts: bytes" % MOUNTS,
                 "%d mounts: duplicate GETs" % MOUNTS)
        if not self.wanted(*names):
            return
        ratios, twice, cpu, size, seconds, gets = [], [], 0.0, 0, [], 0
        for seed in range(1, self.args.rounds + 1):
            workers = self.fresh_workers(WORKERS)
            mounts = [self.mount("tarn%d" % i, workers)
                      for i in range(MOUNTS)]
            self.sim.forget()
            for m in mounts:
                m.forget()
                m.start("")
            before = self.cpu(*mounts)
            epochs = [Epoch(self.base, m, self.set, seed * MOUNTS + i)
                      for i, m in enumerate(mounts)]
            for e in epochs:
                e.right = e.wait()
                self.must(e)
                size += e.size
            cpu += self.cpu(*mounts) - before
            counters = [status(m)["counters"] for m in mounts]
            for m in mounts:
                m.stop()
                shutil.rmtree(m.cache, ignore_errors=True)
            journal = self.sim.journal()
            ratios.append(sum(e["bytes"] for e in journal) / self.set_bytes)
            again = duplicates(journal)
            twice.append(len(again))
            gets = len(journal)
            seconds.append(max(e.seconds for e in epochs))
        cpu /= size / 1e9
        self.add(names[0], ratios, 1.0, cpu, "%d GETs, %.4f x, %.1f s" % (
            gets, statistics.median(ratios), statistics.median(seconds)),
            most=True)
        # Of the last round: from where they came, and the first ones.
        note = "; ".join(
            ["%d %s" % (sum(c[k] for c in counters), k) for k in (
                "store_get", "peer_errors", "peer_hedges", "peer_fallbacks")] +
            ["%s %s" % (e["key"], e["range"]) for e in again[:3]])
        self.add(names[1], twice, 0.0, cpu, note, most=True, unit="")

    def compare(self, name, reference, work, workers, target, most=False):
        """reference(seed) in turn with work(mount, seed) on new mounts."""
        if not self.wanted(name):
            return
        ratios, cpu, size, note = [], 0.0, 0, ""
        for seed in range(1, self.args.rounds + 1):
            took = [reference(seed)] if seed % 2 else []
            m = self.mount("tarn", workers)
            m.forget()
            for w in self.workers:
                w.touch()  # the reference finds it there, too
            m.start("")
            self.sim.forget()
            before = self.cpu(m)
            mine, n, note = work(m, seed)
            cpu += self.cpu(m) - before
            size += n
            note += "%d GETs of the store" % len(self.sim.journal())
            m.stop()
            if not took:
                took = [reference(seed)]
            ratios.append(mine / took[0] if most else took[0] / mine)
        self.add(name, ratios, target, cpu / (size / 1e9), note, most)

    def read(self, m, *work):
        out = subprocess.run([READBENCH, *work], check=True,
                             capture_output=True, text=True).stdout.split()
        return float(out[0]), int(out[1]), ""

    def warm(self):
        """Cold mounts; both workers have all that is read."""
        names = ("seq, warm workers", "files, warm workers",
                 "files, warm workers: +15 ms", "random 4K, warm workers")
        if not self.wanted(*names):
            return
        workers = self.fresh_workers(2)
        url = self.workers[0].url + "/bench/"
        parts = ["%s %d-%d" % (url + "big.bin", o, o + PART - 1)
                 for o in range(0, BIG, PART)]
        urls = [url + f for f in self.files]
        for w in self.workers:
            for _ in range(2):
                for requests in (parts, urls):
                    bare(self.base, READERS,
                         [r.replace(url, w.url + "/bench/")
                          for r in requests])

        self.compare(
            names[0], lambda _: bare(self.base, 16, parts),
            lambda m, _: self.read(m, "seq", m.dir + "/big.bin"),
            workers, 0.8)

        def shuffled(seed):
            random.Random(seed).shuffle(urls)
            return bare(self.base, READERS, urls)

        def files(m, seed):
            e = Epoch(self.base, m, self.files, seed)
            e.right = e.wait()
            return self.must(e).seconds, e.size, ""

        self.compare(names[1], shuffled, files, workers, 0.6)
        if self.wanted(names[2]):
            far = Delay(self.sim, 15)
            self.stack.callback(far.stop)

            def from_far(seed):
                m = self.mount("far", url=far.url)
                m.forget()
                m.start("")
                seconds = files(m, seed)[0]
                m.stop()
                return seconds

            self.compare(names[2], from_far, files, workers, 3.0)

        def one_by_one(seed):
            rng = random.Random(seed)
            pages = [rng.randrange(BIG // 4096) * 4096 for _ in range(READS)]
            return bare(self.base, 1, ["%sbig.bin %d-%d" % (url, o, o + 4095)
                                       for o in pages])

        self.compare(
            names[3], one_by_one,
            lambda m, seed: self.read(m, "rand", m.dir + "/big.bin",
                                      str(READS), str(seed)),
            workers, 1.6, most=True)

    def fault(self, name, begin, end):
        """An epoch in which begin(worker) comes, over one without."""
        names = (name + ": epoch", name + ": p99", name + ": errors")
        if not self.wanted(*names):
            return
        ratios, p99, errors, cpu, size, worst, why = [], [], [], 0.0, 0, 0, ""
        for seed in range(1, self.args.rounds + 1):
            workers = self.fresh_workers(WORKERS)
            # What stands in for the worker shall have nothing of its part.
            self.must(self.epoch(workers, self.set, seed))
            calm = self.must(self.epoch(workers, self.set, seed))
            victim = self.workers[seed % WORKERS]
            later = Later(CAUGHT * calm.seconds, lambda: begin(victim))
            try:
                e = self.epoch(workers, self.set, seed, later.start)
            finally:
                end(victim)
            later.end(e.end)
            ratios.append(e.seconds / calm.seconds)
            p99.append(e.p99)
            errors.append(0 if e.right else 1)
            cpu += e.cpu
            size += e.size
            worst = max(worst, e.worst)
            why = why or e.why.strip()
        cpu = cpu / (size / 1e9) if size else 0.0
        self.add(names[0], ratios, 1.3, cpu, "undisturbed: %.1f s"
                 % calm.seconds, most=True)
        self.add(names[1], p99, 1.0, cpu, "worst read %.2f s" % worst,
                 most=True, unit="s")
        self.add(names[2], errors, 0.0, cpu, why, most=True, unit="")

    def faults(self):
        self.fault("a worker killed", lambda w: w.stop(kill=True),
                   lambda w: None)
        self.fault("a worker stopped",
                   lambda w: w.process.send_signal(19),  # SIGSTOP
                   lambda w: w.process.send_signal(18))  # SIGCONT
        if shutil.which("nft") is None:
            print("a worker cut off: left out, no nft (scripts/deps test)")
            return
        self.stack.callback(Blackhole.lift)
        self.fault("a worker cut off", lambda w: Blackhole.dig(w.port),
                   lambda w: Blackhole.lift())

    def resize(self):
        name = "%d to %d workers: %% from the store" % (WORKERS, WORKERS + 1)
        if not self.wanted(name):
            return
        if find("etcd") is None:
            print("%s: left out, no etcd (scripts/deps test)" % name)
            return
        shares, cpu, size, note = [], 0.0, 0, ""
        for seed in range(1, self.args.rounds + 1):
            # Its many fsyncs shall not wait for what the caches write.
            tmpfs = tempfile.mkdtemp(prefix="tarn-bench-", dir="/dev/shm")
            self.stack.callback(shutil.rmtree, tmpfs, ignore_errors=True)
            etcd = Etcd(tmpfs)
            self.stack.callback(etcd.stop)
            self.fresh_workers(WORKERS + 1, ",workers=" + etcd.workers)
            newcomer = self.workers[WORKERS]
            wait_for("the ring", lambda: etcd.joined() == WORKERS)
            self.must(self.epoch(etcd.workers, self.set, seed))
            calm = self.must(self.epoch(etcd.workers, self.set, seed))
            later = Later(CAUGHT * calm.seconds, newcomer.start)
            self.sim.forget()
            e = self.must(self.epoch(etcd.workers, self.set, seed,
                                     later.start))
            later.end(e.end)
            served = newcomer.status()["counters"]["read_bytes"]
            self.stop_workers()
            etcd.stop()
            shares.append(100 * self.sim.bytes() / self.set_bytes)
            note = "%.0f MB by the new one, %d GETs to previous owners" % (
                served / 1e6, e.status["counters"]["peer_previous"])
            cpu += e.cpu
            size += e.size
        self.add(name, shares, 2.0, cpu / (size / 1e9), note, most=True,
                 unit="%")


def bench(base, args, stack):
    """(rows, figures)"""
    rows, figures = [], {}
    alone = Alone(base, args, stack, rows)
    alone.against_nginx(lambda: local_files(base))
    ring = Ring(base, args, stack, rows)
    ring.herd()
    ring.warm()
    ring.faults()
    ring.resize()
    ring.stop_workers()
    figures.update(alone.many(ring.sim))
    return rows, figures
