# SPDX-License-Identifier: Apache-2.0
# S26, S14: fsync of a directory waits for commits below it, however deep, and
# tells the failure of one, once; a signal ends the wait. With commit=writeback
# it waits for what was closed, also for what has not begun and what is to be
# tried again.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
mount_tarn rw
mkdir -p "$MNT/d/e" "$MNT/other"
cat >"$W/sync.py" <<'PY'
import errno, os, signal, subprocess, sys, threading, time, urllib.request
mnt, sim = sys.argv[1:]
SYNC = """import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
fd = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY)
print("begin", flush=True)
os.fsync(fd)
print("done", flush=True)
"""


def ask(what, body=None):
    with urllib.request.urlopen(sim + "/_sim/" + what, body, 60) as r:
        return r.read().decode()


def result(f, *args):
    try:
        f(*args)
        return "0"
    except OSError as e:
        return errno.errorcode[e.errno]


def directory(path):
    return os.open(mnt + path, os.O_RDONLY | os.O_DIRECTORY)


def put(path):
    with open(mnt + path, "wb") as f:
        f.write(b"bytes")


def held(key, status):
    """A file whose close waits for the store, which will say this."""
    ask("rules", b'{"name":"gate","op":"PUT","key":"%s","hold":true%s}'
        % (key.encode(), b',"status":403,"code":"AccessDenied"'
           if status == 403 else b""))
    said = []
    t = threading.Thread(target=lambda: said.append(result(put, "/" + key)))
    t.start()
    while int(ask("fired?rule=gate")) == 0:
        time.sleep(0.02)
    return t, said


def release():
    ask("release?rule=gate", b"")
    ask("clear", b"")


top, d, other = directory(""), directory("/d"), directory("/other")
assert [os.fsync(fd) for fd in (top, d, other)] == [None] * 3

# One that is only open is left to its own close.
with open(mnt + "/d/e/open", "wb") as f:
    f.write(b"x")
    f.flush()
    os.fsync(d)
    assert os.getxattr(f.fileno(), "user.tarn.commit") == b"dirty"

# A commit that waits: it is waited for, elsewhere not, and a signal ends it.
t, said = held("d/e/slow", 200)
os.fsync(other)
p = subprocess.Popen([sys.executable, "-c", SYNC, mnt + "/d"],
                     stdout=subprocess.PIPE, text=True)
assert p.stdout.readline() == "begin\n"
p.send_signal(signal.SIGINT)
assert p.wait(60) == -signal.SIGINT, p.returncode
assert p.stdout.read() == "", "it did not wait"
assert t.is_alive()
synced = []
s = threading.Thread(target=lambda: synced.append(result(os.fsync, d)))
s.start()
release()
t.join()
s.join()
assert said == synced == ["0"], (said, synced)
assert ask("get?bucket=bucket&key=d/e/slow") == "bytes"

# One that fails while it is waited for.
t, said = held("d/e/no", 403)
synced = []
s = threading.Thread(target=lambda: synced.append(result(os.fsync, d)))
s.start()
release()
t.join()
s.join()
assert said == synced == ["EACCES"], (said, synced)

# Told once: who was there before hears of it as well, who comes later not.
assert result(os.fsync, top) == "EACCES"
assert result(os.fsync, other) == "0"
later = directory("/d/e")
assert [result(os.fsync, fd) for fd in (d, top, later)] == ["0"] * 3

# Of one that nobody has asked for, who comes later does.
ask("rules", b'{"name":"no","op":"PUT","status":403,"code":"AccessDenied"}')
assert result(put, "/d/no2") == "EACCES"
assert int(ask("fired?rule=no")) == 1
ask("clear", b"")
later = directory("/d")
assert [result(os.fsync, later) for _ in range(2)] == ["EACCES", "0"]
os.close(d)
PY
python3 "$W/sync.py" "$MNT" "$SIM"
umount_tarn

# What mounts before this one left is no news.
mount_tarn rw
python3 -c 'import os, sys
os.fsync(os.open(sys.argv[1], os.O_RDONLY))' "$MNT/d"
expect_eq "$(mount_stat "$MNT" "len(m['commits']['failed'])")" 2 "failures kept"
umount_tarn

# Closed and not begun: some wait for their turn. Then the store is away.
cat >"$W/later.py" <<'PY'
import errno, os, sys, time, urllib.request
mnt, sim = sys.argv[1:]


def ask(what, body=None):
    with urllib.request.urlopen(sim + "/_sim/" + what, body, 60) as r:
        return r.read().decode()


d = os.open(mnt + "/d", os.O_RDONLY | os.O_DIRECTORY)
for i in range(40):
    with open(mnt + "/d/e/later%d" % i, "w") as f:
        f.write(str(i))
said = os.getxattr(mnt + "/d/e/later39", "user.tarn.commit")
assert said in (b"committing", b"committed"), said
os.fsync(d)
for i in range(40):
    assert ask("get?bucket=bucket&key=d/e/later%d" % i) == str(i), i

ask("rules", b'{"name":"away","op":"PUT","status":503}')
with open(mnt + "/d/tried", "w") as f:
    f.write("bytes")
while int(ask("fired?rule=away")) == 0:
    time.sleep(0.02)
try:
    os.fsync(d)
    sys.exit("synced what the store does not have")
except OSError as e:
    assert e.errno == errno.ETIMEDOUT, e
ask("clear", b"")
os.fsync(d)
assert ask("get?bucket=bucket&key=d/tried") == "bytes"
PY
mount_tarn rw,commit=writeback,commit-timeout=2s
python3 "$W/later.py" "$MNT" "$SIM"
umount_tarn
