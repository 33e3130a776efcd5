# SPDX-License-Identifier: Apache-2.0
# C18, S9, S11: a program that calls fsync time and again on a large file finds
# each time that the store has just what it has written, and each time only the
# parts that changed are sent: the others are copied by the store.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put f 'size=31457280&seed=3' >"$W/o"
mount_tarn rw,part-size=5M
cat >"$W/sync.py" <<'PY'
"""Six parts of 5 MiB. Changes them here and there, and asks the store."""
import hashlib, os, random, subprocess, sys, threading
path, sim = sys.argv[1:]
PART = 5 << 20
def ask(what, body=None):
    return subprocess.run(
        ["curl", "-fsS"] + (["--data-binary", body] if body is not None else [])
        + [sim + "/_sim/" + what], check=True, capture_output=True).stdout
def store():
    return hashlib.sha256(ask("get?bucket=bucket&key=f")).hexdigest()
def count(what):
    return int(ask(what))
random.seed(1)
twin = bytearray(ask("get?bucket=bucket&key=f"))
fd = os.open(path, os.O_RDWR)
def write(at, data):
    assert os.pwrite(fd, data, at) == len(data)
    twin[at:at + len(data)] = data
for turn in range(9):
    ask("forget", "")
    if turn % 3 == 0:
        parts = {len(twin) // PART}
        write(len(twin), os.urandom(1000)) # to the end, as a log is
    else:
        at = random.randrange(len(twin) - 5000)
        parts = {at // PART, (at + 4999) // PART}
        write(at, os.urandom(5000))
    os.fsync(fd) if turn % 2 else os.fdatasync(fd)
    assert store() == hashlib.sha256(twin).hexdigest(), turn
    sent, copied = count("count?op=PART"), count("count?op=PART_COPY")
    # The last one is smaller than what can be copied.
    small = len(twin) // PART
    assert sent == len(parts | {small}), (turn, sent, parts)
    assert copied == small - len(parts - {small}), (turn, copied)
    received = count("received")
    assert received <= len(parts - {small}) * PART + 40000, (turn, received)
    assert count("count?op=COMPLETE") == 1 and count("uploads") == 0
# Nothing was written: nothing is asked.
ask("forget", "")
for i in range(100):
    os.fsync(fd)
assert count("count") == 0
# Beside one who goes on writing: each sync has what was there when it began.
stop = threading.Event()
synced = 0
def on():
    while not stop.is_set():
        os.pwrite(fd, b"%08d" % synced * 8, 100)
t = threading.Thread(target=on)
t.start()
at = len(twin)
for i in range(4):
    twin += b"%07d\n" % i
    os.pwrite(fd, b"%07d\n" % i, at + 8 * i)
    os.fsync(fd)
    got = ask("get?bucket=bucket&key=f")
    assert got[at:] == twin[at:], (i, got[at:])
    synced += 1
stop.set()
t.join()
os.close(fd)
with open(path, "rb") as f:
    assert f.read() == ask("get?bucket=bucket&key=f")
PY
python3 "$W/sync.py" "$MNT/f" "$SIM"
expect_eq "$(sim uploads)" 0 "uploads left"
no_errors mnt

# A small file is a PUT each time, no more.
sim forget ''
cat >"$W/log.py" <<'PY'
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
for i in range(50):
    os.write(fd, b"%07d\n" % i)
    os.fsync(fd)
os.close(fd)
PY
python3 "$W/log.py" "$MNT/log"
expect_eq "$(sim 'count?op=PUT&key=log')" 50 "PUTs of 50 syncs"
umount_tarn
[ -z "$(find "$W/staging" -mindepth 2 -type f)" ] || fail "left: $(find "$W/staging" -type f)"
