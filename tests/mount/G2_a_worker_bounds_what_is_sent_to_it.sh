# SPDX-License-Identifier: Apache-2.0
# G2: bodies of requests that nobody has signed take a bounded memory, however
# many connections send them, and one that is never finished ends after half a
# minute. A signed POST is answered then, and in between.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
start_store
sim_put a 'size=1000&seed=1' >"$W/o"
start_worker
pid=$(worker_pid)
expect_eq "$(worker_code /bucket/a)" 200
rss() { awk '/VmRSS/ { print $2 }' "/proc/$pid/status"; }
before=$(rss)
python3 - "${WORKER#http://}" "$pid" "$before" <<'PYTHON'
import select
import socket
import sys
import time

host, port = sys.argv[1].rsplit(":", 1)
pid, before = sys.argv[2], int(sys.argv[3])
MIB = 1 << 20


def rss():
    with open("/proc/%s/status" % pid) as f:
        return next(int(line.split()[1]) for line in f if "VmRSS" in line)


def send(n, line):
    """All of a body but its last byte, on n connections."""
    head = "%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (line, MIB)
    out = []
    for i in range(n):
        s = socket.create_connection((host, int(port)), 10,
                                     ("127.0.2.%d" % (i % 4 + 1), 0))
        try:
            s.sendall(head.encode() + b"x" * (MIB - 1))
        except OSError:
            pass
        out.append(s)
    return out


def closed(s):
    return select.select([s], [], [], 0)[0] != []


held = []
for line in "POST /-/load", "PUT /bucket/b":
    held += send(100, line)
    assert rss() - before <= 65536, (line, rss(), before)
end = time.time() + 60
while not all(closed(s) for s in held):
    assert time.time() < end
    time.sleep(0.1)
PYTHON
expect_le $(($(rss) - before)) 65536 "kB of memory more"
TARN_CLUSTER_KEY_FILE=$W/cluster.key "$TARN" load --to ring --dry-run \
	-o "workers=${WORKER#http://}" "$SOURCE/a" >"$W/load.out" 2>&1 ||
	fail "load: $(cat "$W/load.out")"
expect_eq "$(worker_code /bucket/a)" 200
expect_eq "$(worker_pid)" "$pid" "the worker"
stop_worker
