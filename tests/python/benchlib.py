# SPDX-License-Identifier: Apache-2.0
"""What scripts/bench is made of: stores, a delay in front of them, mounts,
and the bare client they are held against.
"""
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

from s3 import S3

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD", os.path.join(ROOT, "build", "plain"))
TARN = os.path.join(BUILD, "tarn")
READBENCH = os.path.join(BUILD, "tests/tools/readbench")
HTTPBENCH = os.path.join(BUILD, "tests/tools/httpbench")
CACHE = os.path.join(
    os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")),
    "tarn-test/bin")
KEYS = {"AWS_ACCESS_KEY_ID": "tarn", "AWS_SECRET_ACCESS_KEY": "tarnsecret",
        "AWS_REGION": "us-east-1"}
BIG = 1 << 30
FILES, FILE_SIZE, READERS = 5000, 110_000, 8


def find(program):
    for p in (os.path.join(CACHE, program),
              os.path.expanduser("~/go/bin/" + program)):
        if os.access(p, os.X_OK):
            return p
    return shutil.which(program)


def run(*args, **kw):
    return subprocess.run(args, check=True, capture_output=True, text=True,
                          **kw).stdout


def drop_caches():
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w") as f:
        f.write("3\n")


def wait_for(what, test, seconds=20):
    end = time.monotonic() + seconds
    while not test():
        if time.monotonic() > end:
            raise SystemExit("bench: %s did not come up" % what)
        time.sleep(0.01)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def answers(url):
    try:
        urllib.request.urlopen(url, timeout=1).close()
        return True
    except OSError:
        return False


class Service:
    """A server of ours, ended with the bench."""

    def __init__(self, name, args, health, env=None):
        self.process = subprocess.Popen(
            args, env=dict(os.environ, **(env or {})),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(name, lambda: answers(health))

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Store(Service):
    """versitygw over a directory, its access log counted."""

    def __init__(self, base):
        port = free_port()
        data = os.path.join(base, "store")
        self.log = os.path.join(base, "access.log")
        self.url = "http://127.0.0.1:%d" % port
        os.makedirs(os.path.join(data, "bench"))
        super().__init__(
            "versitygw",
            [find("versitygw"), "--port", "127.0.0.1:%d" % port,
             "--keep-alive", "--quiet", "--health", "/health", "--access-log",
             self.log, "posix", data], self.url + "/health",
            {"ROOT_ACCESS_KEY": "tarn", "ROOT_SECRET_KEY": "tarnsecret"})
        self.client = S3(self.url, "bench")

    def put(self, key, body):
        self.client.must("PUT", key.encode(), body=body)

    def counts(self):
        n = {"get": 0, "head": 0, "list": 0}
        with open(self.log, errors="replace") as f:
            for line in f:
                n["get"] += "s3_GetObject" in line
                n["head"] += "s3_HeadObject" in line
                n["list"] += "s3_ListObjects" in line
        return n


class Minio(Service):
    """MinIO, for its listings: versitygw's cost more with each page."""

    def __init__(self, base):
        port = free_port()
        self.url = "http://127.0.0.1:%d" % port
        super().__init__(
            "minio",
            [find("minio"), "server", "--quiet", "--address",
             "127.0.0.1:%d" % port, os.path.join(base, "minio")],
            self.url + "/minio/health/live",
            {"MINIO_ROOT_USER": "tarn", "MINIO_ROOT_PASSWORD": "tarnsecret",
             "MINIO_BROWSER": "off", "MINIO_UPDATE": "off"})
        self.client = S3(self.url, "bench")
        self.client.must("PUT")


class Delay(Service):
    """A store through toxiproxy, each answer that many ms later."""

    def __init__(self, store, ms):
        control, port = free_port(), free_port()
        api = "http://127.0.0.1:%d/proxies" % control
        self.url = "http://127.0.0.1:%d" % port
        super().__init__(
            "toxiproxy", [find("toxiproxy-server"), "-host", "127.0.0.1",
                          "-port", str(control)], api)
        self.post(api, {"name": "s3", "listen": "127.0.0.1:%d" % port,
                        "upstream": store.url.split("//")[1],
                        "enabled": True})
        self.post(api + "/s3/toxics", {
            "name": "lat", "type": "latency", "stream": "downstream",
            "attributes": {"latency": ms, "jitter": 0}})
        self.client = S3(self.url, "bench")

    @staticmethod
    def post(url, what):
        urllib.request.urlopen(urllib.request.Request(
            url, json.dumps(what).encode(),
            {"Content-Type": "application/json"})).close()


class Mount:
    def __init__(self, name, base, url, command, pid, cache):
        self.name, self.url = name, url
        self.dir = os.path.join(base, "mnt-" + name.split()[0])
        os.makedirs(self.dir, exist_ok=True)
        self.command, self.find_pid, self.cache = command, pid, cache
        self.pid = None
        self.process = None

    def start(self, first="big.bin"):
        """Seconds from the mount command to the first stat."""
        env = dict(os.environ, **KEYS, AWS_ENDPOINT_URL=self.url,
                   AWSACCESSKEYID="tarn", AWSSECRETACCESSKEY="tarnsecret")
        os.makedirs(self.cache, mode=0o700, exist_ok=True)
        begin = time.monotonic()
        args = [a.replace("DIR", self.dir) for a in self.command]
        self.process = subprocess.Popen(args, env=env,
                                        stdout=subprocess.DEVNULL)
        wait_for(self.name, lambda: self.process.poll() is not None or
                 os.path.ismount(self.dir))
        if self.process.poll() not in (None, 0):
            raise SystemExit("bench: %s did not mount" % self.name)
        wait_for(self.name, lambda: os.path.ismount(self.dir))
        os.stat(os.path.join(self.dir, first))
        taken = time.monotonic() - begin
        self.pid = self.find_pid(self)
        return taken

    def cpu(self):
        with open("/proc/%d/stat" % self.pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return ((int(fields[11]) + int(fields[12])) /
                os.sysconf("SC_CLK_TCK"))

    def peak(self):
        with open("/proc/%d/status" % self.pid) as f:
            for line in f:
                if line.startswith("VmHWM"):
                    return int(line.split()[1]) * 1024
        return 0

    def stop(self):
        subprocess.run(["umount", self.dir], check=False,
                       capture_output=True)
        if self.pid:
            wait_for("end of " + self.name,
                     lambda: not os.path.exists("/proc/%d" % self.pid) or
                     zombie(self.pid), 180)
            self.pid = None
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait()

    def forget(self):
        """Nothing is cached any more; it must be stopped.

        A new directory each time: ext4 looks long for an inode that was not
        deleted in the last minutes. What is large goes, the disk is finite.
        """
        for root, _, names in os.walk(self.cache):
            for name in names:
                path = os.path.join(root, name)
                if os.path.getsize(path) >= 16 << 20:
                    os.unlink(path)
        if os.path.isdir(self.cache):
            os.rename(self.cache, tempfile.mkdtemp(
                prefix=os.path.basename(self.cache) + ".",
                dir=os.path.dirname(self.cache)))
        drop_caches()


def zombie(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def pid_of(name):
    def look(mount):
        for p in os.listdir("/proc"):
            if not p.isdigit():
                continue
            try:
                with open("/proc/%s/cmdline" % p, "rb") as f:
                    words = f.read().split(b"\0")
            except OSError:
                continue
            if (os.path.basename(words[0]) == name.encode() and
                    mount.dir.encode() in words):
                return int(p)
        raise SystemExit("bench: no process of %s" % name)
    return look


def status(mount):
    return json.loads(run(TARN, "status", "--json", mount.dir))["mounts"][0]


def tarn_mount(name, base, url, options="", cache="cache"):
    cache = os.path.join(base, cache)
    if "staging-dir=" not in options:
        options += ",staging-dir=" + os.path.join(base, "staging")
    return Mount(name, base, url,
                 [TARN, "mount", "s3://bench", "DIR", "-o",
                  "endpoint=%s,cache-dir=%s%s" % (url, cache, options)],
                 lambda m: status(m)["pid"], cache)


def rivals(base, url):
    """Those that are installed."""
    passwd = os.path.join(base, "passwd")
    with open(passwd, "w") as f:
        f.write("tarn:tarnsecret")
    os.chmod(passwd, 0o600)
    cache = os.path.join(base, "rival-")
    known = {
        "s3fs": ["s3fs", "bench", "DIR", "-o", "url=" + url, "-o",
                 "use_path_request_style", "-o", "passwd_file=" + passwd,
                 "-o", "use_cache=" + cache + "s3fs"],
        "rclone": ["rclone", "mount", ":s3:bench", "DIR", "--daemon",
                   "--s3-provider", "Other", "--s3-env-auth",
                   "--s3-endpoint", url, "--vfs-cache-mode", "full",
                   "--cache-dir", cache + "rclone", "--read-only"],
        "mount-s3": ["mount-s3", "bench", "DIR", "--endpoint-url", url,
                     "--force-path-style", "--cache", cache + "mount-s3"],
        "geesefs": ["geesefs", "--endpoint", url, "bench", "DIR"],
    }
    for name, command in known.items():
        if shutil.which(name):
            yield Mount(name, base, url, command, pid_of(name), cache + name)


def local_files(base):
    """A directory with big.bin and files/."""
    local = os.path.join(base, "local")
    os.makedirs(os.path.join(local, "files"))
    rng = random.Random(7)
    with open(os.path.join(local, "big.bin"), "wb") as f:
        for _ in range(BIG >> 20):
            f.write(rng.randbytes(1 << 20))
    for i in range(FILES):
        with open("%s/files/%05d.bin" % (local, i), "wb") as f:
            f.write(rng.randbytes(FILE_SIZE))
    return local


def make_data(base, store):
    """The same bytes in the store and, for reference, on the local disk."""
    local = local_files(base)
    for root, _, names in os.walk(local):
        for name in names:
            path = os.path.join(root, name)
            with open(path, "rb") as f:
                store.put(os.path.relpath(path, local), f.read())
    return local


def readbench(work, root, base, seed):
    """Seconds and bytes of one of its works below root."""
    listing = os.path.join(base, "list-" + os.path.basename(root))
    with open(listing, "w") as f:
        for i in range(FILES):
            f.write("%s/files/%05d.bin\n" % (root, i))
    words = {"BIG": root + "/big.bin", "LIST": listing, "SEED": str(seed)}
    out = run(READBENCH, *[words.get(w, w) for w in work])
    seconds, size = out.split()[:2]
    return float(seconds), int(size)


def bare_bytes(base, connections, requests):
    """Seconds and bytes of a bare client (requests: URL or "URL RANGE")."""
    path = os.path.join(base, "requests")
    with open(path, "w") as f:
        f.write("\n".join(requests) + "\n")
    seconds, size, _ = run(HTTPBENCH, str(connections), path).split()
    return float(seconds), int(size)


def bare(base, connections, requests):
    return bare_bytes(base, connections, requests)[0]


def show(row):
    target = ""
    if row["target"] is not None:
        target = "target %s%.2f" % ("<" if row.get("most") else "",
                                    row["target"])
    print("%-12s %-30s %6.2f %-1s  (%.2f .. %.2f)  %-12s  %6.3f CPU s/GB  %s"
          % (row["mount"], row["work"], row["ratio"], row.get("unit", "x"),
             row["min"], row["max"], target, row["cpu_s_per_gb"],
             row.get("note", "")), flush=True)
