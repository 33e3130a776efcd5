# SPDX-License-Identifier: Apache-2.0
# G2: of a flood of connections that say nothing, one address holds a half of
# what there is room for, the rest is closed at once, and others are served
# meanwhile; so are floods from many addresses, and of half a request each,
# survived. Descriptors and memory stay bounded, and what is silent is closed.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_command prlimit
start_store
sim_put a 'size=100000&seed=1' >"$W/o"
TARN_WRAP="prlimit --nofile=256:256"
start_worker
TARN_WRAP=
pid=$(worker_pid)
expect_eq "$(worker_code /bucket/a)" 200
rss() { awk '/VmRSS/ { print $2 }' "/proc/$pid/status"; }
before=$(rss)
python3 - "${WORKER#http://}" "$pid" <<'PYTHON'
import http.client
import os
import select
import socket
import sys
import time

host, port = sys.argv[1].rsplit(":", 1)
fds = "/proc/%s/fd" % sys.argv[2]
ROOM = 256 // 4


def flood(n, address, say=b""):
    out = []
    for _ in range(n):
        s = socket.create_connection((host, int(port)), 10, (address, 0))
        try:
            s.sendall(say)
        except OSError:
            pass
        out.append(s)
    return out


def is_open(s):
    if not select.select([s], [], [], 0)[0]:
        return True
    try:
        return bool(s.recv(1, socket.MSG_PEEK))
    except OSError:
        return False


def held(sockets):
    return sum(is_open(s) for s in sockets)


def until(what):
    end = time.time() + 20
    while not what():
        assert time.time() < end, what
        time.sleep(0.1)


def health(address):
    c = http.client.HTTPConnection(host, int(port), 10,
                                   source_address=(address, 0))
    c.request("GET", "/-/health")
    assert c.getresponse().status == 200
    c.close()


def served(address):
    """The peer hears of a connection's end before the worker forgets it."""
    try:
        health(address)
        return True
    except ConnectionResetError:
        return False


for say in b"", b"GET /-/health HTTP/1.1\r\nHost: x\r\nX-A: ":
    one = flood(200, "127.0.0.1", say)
    # What is above the half is closed before anything else is heard of.
    until(lambda: held(one) <= ROOM // 2)
    assert held(one) >= ROOM // 4, held(one)
    health("127.0.0.2")
    assert len(os.listdir(fds)) < 256
    # Who says nothing goes; then there is room again.
    until(lambda: held(one) == 0)
    until(lambda: served("127.0.0.1"))
    many = [s for i in range(20) for s in flood(20, "127.0.1.%d" % (i + 1), say)]
    until(lambda: held(many) <= ROOM)
    assert len(os.listdir(fds)) < 256
    until(lambda: held(many) == 0)
    until(lambda: served("127.0.0.1"))
    for s in one + many:
        s.close()

# Requests one behind the other, whose answers nobody reads.
ask = b"GET /-/metrics HTTP/1.1\r\nHost: x\r\n\r\n"
piped = flood(20, "127.0.0.3")
for s in piped:
    s.setblocking(False)
    for _ in range(20):
        try:
            s.send(ask * 500)
        except OSError:
            break
health("127.0.0.1")
for s in piped:
    s.close()
PYTHON
expect_le $(($(rss) - before)) 65536 "kB of memory more"
expect_eq "$(worker_code /bucket/a)" 200
expect_eq "$(sha "$W/answer")" "$(sim_sha a)"
expect_eq "$(worker_pid)" "$pid" "the worker"
stop_worker
