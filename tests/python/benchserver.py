# SPDX-License-Identifier: Apache-2.0
"""scripts/bench --ring, a worker by itself: against nginx with sendfile on
the same files, and with a million small objects on its SSD.
"""
import http.client
import json
import os
import random
import shutil
import statistics
import subprocess
import time
import urllib.request

from benchlib import (KEYS, TARN, bare, bare_bytes, drop_caches, find,
                      free_port, show, wait_for)

CONNECTIONS = 16
RANGE = 64 << 20
RANGE_CONNECTIONS = 4
SMALL = 1_000_000
SMALL_QUICK = 50_000
SMALL_SIZE = 1000
ESTIMATE = 50_000_000


def cpu_of(pids):
    """CPU seconds of these processes so far; those that are gone: 0."""
    total = 0
    for pid in pids:
        try:
            with open("/proc/%d/stat" % pid) as f:
                fields = f.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def memory_of(pid, what="VmHWM"):
    with open("/proc/%d/status" % pid) as f:
        for line in f:
            if line.startswith(what + ":"):
                return int(line.split()[1]) * 1024
    return 0


class Worker:
    """`tarn worker` of one source, with a cache directory of its own."""

    def __init__(self, base, name, source, options=""):
        self.name, self.source, self.options = name, source, options
        self.cache = os.path.join(base, "cache-" + name)
        self.log = os.path.join(base, name + ".log")
        self.port = free_port()
        self.address = "127.0.0.1:%d" % self.port
        self.url = "http://" + self.address
        self.process = None
        self.cpu = 0.0  # of processes that have ended

    def start(self):
        """Seconds until it answers."""
        os.makedirs(self.cache, mode=0o700, exist_ok=True)
        begin = time.monotonic()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [TARN, "worker", self.source, "-f", "-o",
                 "listen=%s,cache-dir=%s%s" % (self.address, self.cache,
                                               self.options)],
                env=dict(os.environ, **KEYS), stdout=log, stderr=log)
        wait_for(self.name, lambda: self.process.poll() is not None or
                 self.healthy())
        if self.process.poll() is not None:
            with open(self.log) as f:
                raise SystemExit("bench: %s: %s" % (self.name, f.read()))
        return time.monotonic() - begin

    def touch(self):
        """What it has is in the kernel's page cache, again."""
        for root, _, names in os.walk(self.cache):
            for name in names:
                with open(os.path.join(root, name), "rb") as f:
                    while f.read(4 << 20):
                        pass

    def healthy(self):
        try:
            urllib.request.urlopen(self.url + "/-/health", timeout=1).close()
            return True
        except OSError:
            return False

    def status(self):
        with urllib.request.urlopen(self.url + "/-/status", timeout=10) as r:
            return json.load(r)["worker"]

    def pids(self):
        return [self.process.pid] if self.process else []

    def stop(self, kill=False):
        if self.process is None:
            return
        self.cpu += cpu_of(self.pids())
        if kill:
            self.process.kill()
        else:
            self.process.terminate()
        self.process.wait()
        self.process = None


class Nginx:
    """nginx over a directory, as fast as it is known to be."""

    CONF = """
worker_processes auto;
daemon off;
pid BASE/nginx.pid;
error_log BASE/error.log;
events { worker_connections 1024; }
http {
	access_log off;
	sendfile on;
	tcp_nopush on;
	keepalive_requests 1000000;
	default_type application/octet-stream;
	client_body_temp_path BASE/t1;
	proxy_temp_path BASE/t2;
	fastcgi_temp_path BASE/t3;
	uwsgi_temp_path BASE/t4;
	scgi_temp_path BASE/t5;
	server {
		listen 127.0.0.1:PORT;
		root ROOT;
	}
}
"""

    def __init__(self, base, root):
        port = free_port()
        prefix = os.path.join(base, "nginx")
        os.makedirs(prefix)
        for where in (base, root):  # its own user reads there
            os.chmod(where, 0o755)
        path = os.path.join(prefix, "nginx.conf")
        with open(path, "w") as f:
            f.write(self.CONF.replace("BASE", prefix).replace(
                "ROOT", root).replace("PORT", str(port)))
        self.url = "http://127.0.0.1:%d" % port
        self.process = subprocess.Popen(
            [nginx_program(), "-p", prefix, "-c", path],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def up():
            try:
                c = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
                c.request("HEAD", "/")
                c.getresponse()
                c.close()
                return True
            except OSError:
                return False
        wait_for("nginx", up)

    def pids(self):
        path = "/proc/%d/task/%d/children" % ((self.process.pid,) * 2)
        with open(path) as f:
            return [self.process.pid] + [int(p) for p in f.read().split()]

    def stop(self):
        self.process.terminate()
        self.process.wait()


def nginx_program():
    return find("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")


class Alone:
    """The rows of a worker that no mount asks."""

    NAMES = ("worker, 110K GETs", "worker, 64M ranges")
    MANY = "worker, 1M objects"

    def __init__(self, base, args, stack, rows):
        self.base, self.args, self.stack, self.rows = base, args, stack, rows

    def wanted(self, name):
        return not self.args.only or name in self.args.only

    def against_nginx(self, make_local):
        """make_local() gives a directory with big.bin and files/."""
        if not any(self.wanted(n) for n in self.NAMES):
            return
        if nginx_program() is None:
            print("nginx left out: it is not installed (Debian: nginx-light)")
            return
        local = make_local()
        nginx = Nginx(self.base, local)
        self.stack.callback(nginx.stop)
        worker = Worker(self.base, "alone", "file://" + local)
        self.stack.callback(worker.stop)
        worker.start()
        bucket = worker.url + "/" + os.path.basename(local)
        files = sorted(os.listdir(local + "/files"))
        size = os.path.getsize(local + "/big.bin")
        ranges = ["%d-%d" % (at, min(at + RANGE, size) - 1)
                  for at in range(0, size, RANGE)]

        def small(url, seed):
            urls = ["%s/files/%s" % (url, f) for f in files]
            random.Random(seed).shuffle(urls)
            return CONNECTIONS, urls * 2

        def large(url, _seed):
            return RANGE_CONNECTIONS, ["%s/big.bin %s" % (url, r)
                                       for r in ranges] * 4

        for name, work, target in zip(self.NAMES, (small, large),
                                      (0.9, 0.95)):
            if self.wanted(name):
                self.compare(name, work, worker, bucket, nginx, target)
        worker.stop()
        nginx.stop()
        shutil.rmtree(worker.cache)
        shutil.rmtree(local)

    def compare(self, name, work, worker, bucket, nginx, target):
        for url in (bucket, nginx.url):  # on the SSD, and in memory
            for _ in range(2):
                bare(self.base, *work(url, 1))
        ratios, cpu, size, theirs = [], 0.0, 0, 0.0
        sides = {"worker": (bucket, worker), "nginx": (nginx.url, nginx)}
        for seed in range(1, self.args.rounds + 1):
            took = {}
            order = sorted(sides, reverse=seed % 2 == 0)
            for side in order:
                url, server = sides[side]
                connections, requests = work(url, seed)
                before = cpu_of(server.pids())
                took[side], n = bare_bytes(self.base, connections, requests)
                used = cpu_of(server.pids()) - before
                if side == "worker":
                    cpu += used
                    size += n
                else:
                    theirs += used
            ratios.append(took["nginx"] / took["worker"])
        self.add(name, ratios, target, cpu / (size / 1e9),
                 "nginx %.3f CPU s/GB, %.0f MB/s" % (
                     theirs / (size / 1e9),
                     size / self.args.rounds / took["worker"] / 1e6))

    def add(self, name, ratios, target, cpu_s_per_gb, note="", most=False,
            unit="x"):
        self.rows.append({
            "mount": "worker", "work": name, "target": target, "most": most,
            "unit": unit, "ratio": statistics.median(ratios),
            "min": min(ratios), "max": max(ratios),
            "cpu_s_per_gb": cpu_s_per_gb, "note": note})
        show(self.rows[-1])

    def many(self, sim):
        """A worker with very many small objects; sim: the store."""
        if not self.wanted(self.MANY):
            return {}
        n = SMALL_QUICK if self.args.quick else SMALL
        sim.post("many?bucket=bench&prefix=many/&n=%d&size=%d"
                 % (n, SMALL_SIZE))
        memory = self.args.memory or "512M"
        worker = Worker(self.base, "many", "s3://bench/many/",
                        ",endpoint=%s,memory=%s" % (sim.url, memory))
        self.stack.callback(worker.stop)
        worker.start()
        urls = ["%s/bench/many/%07d" % (worker.url, i) for i in range(n)]
        before = cpu_of(worker.pids())
        seconds = bare(self.base, CONNECTIONS, urls)
        peak = memory_of(worker.process.pid)
        space = Space(worker.cache)
        limit = worker.status()["memory"]["limit"]
        print("%-12s %d objects of %d bytes filled in %.0f s, %.0f us of CPU "
              "each" % ("worker", n, SMALL_SIZE, seconds,
                        (cpu_of(worker.pids()) - before) / n * 1e6),
              flush=True)
        first, peaks = [], [peak]
        for seed in range(1, self.args.rounds + 1):
            worker.stop()
            drop_caches()
            begin = time.monotonic()
            worker.start()
            sim.forget()
            url = urls[random.Random(seed).randrange(n)]
            with urllib.request.urlopen(url, timeout=60) as r:
                r.read()
            first.append(time.monotonic() - begin)
            asked = len(sim.journal())
            bare(self.base, CONNECTIONS,
                 random.Random(seed).sample(urls, min(n, 50_000)))
            peaks.append(memory_of(worker.process.pid))
        self.add(self.MANY + ": first answer", first, 1.0, 0.0,
                 "%d GETs of the store" % asked, most=True, unit="s")
        self.add(self.MANY + ": memory", [p / limit for p in peaks], 1.0, 0.0,
                 "peak %.0f MiB, memory=%.0f MiB" % (
                     max(peaks) / 2**20, limit / 2**20), most=True)
        each, nodes = space.bytes / n, space.files / n
        total = ESTIMATE * (each + space.entry) + space.dirs * 4096
        print("%-12s an object takes %.0f bytes and %.2f inodes of the SSD, "
              "%.0f bytes in its directory and a share of %d directories; "
              "%d million take %.2f TB and %.1f million inodes" % (
                  "worker", each, nodes, space.entry, space.dirs,
                  ESTIMATE // 10**6, total / 1e12,
                  (nodes * ESTIMATE + space.dirs) / 1e6), flush=True)
        worker.stop()
        shutil.rmtree(worker.cache, ignore_errors=True)
        return {"object_bytes": each, "object_inodes": nodes}


class Space:
    """What is below a directory on an ext4: files, their bytes; directories,
    whose number does not grow with the files; and what a file's entry in one
    takes, three quarters full as hashed ones are.
    """

    def __init__(self, where):
        self.bytes = self.files = self.dirs = names = 0
        todo = [where]
        while todo:
            self.dirs += 1
            with os.scandir(todo.pop()) as entries:
                for e in entries:
                    if e.is_dir(follow_symlinks=False):
                        todo.append(e.path)
                        continue
                    st = e.stat(follow_symlinks=False)
                    self.bytes += st.st_blocks * 512
                    self.files += 1
                    names += (8 + len(e.name) + 3) // 4 * 4
        self.entry = names / max(self.files, 1) / 0.75
