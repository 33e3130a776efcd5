# SPDX-License-Identifier: Apache-2.0
# S25: a reader's lock on the version that it opened, and a writer's, who has
# another inode of the same path, meet: flock and fcntl, those that wait, too.
# Unlocking, closing and dying let the next one on, a signal ends the wait, and
# the locks go along with a rename and stay with a file that is removed.
# stores: objsim file
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
mount_tarn rw
cat >"$W/locks.py" <<'PY'
import ctypes, errno, fcntl, json, os, signal, struct, subprocess, sys
import threading, urllib.request
mnt, tarn, heirs, sim = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
EX, SH, UN, NB = fcntl.LOCK_EX, fcntl.LOCK_SH, fcntl.LOCK_UN, fcntl.LOCK_NB
busy = (errno.EAGAIN, errno.EACCES)

def result(f, *args):
    try:
        f(*args)
        return 0
    except OSError as e:
        return e.errno

def status(name):
    said = subprocess.run([tarn, "status", "--json", mnt], check=True,
                          stdout=subprocess.PIPE).stdout
    return json.loads(said)["mounts"][0]["counters"][name]

def wait_until(name, n):
    while status(name) != n:
        pass

class Child:
    """Another process, which does f and tells when it has, and then sleeps."""
    def __init__(self, f):
        r, w = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            # None of what its parent has open: that has locks.
            os.closerange(3, w)
            os.closerange(w + 1, 1000)
            code = 1
            try:
                code = f() or 0
                os.write(w, b"%d" % code)
                signal.pause()
            finally:
                os._exit(code)
        os.close(w)
        self.r = r
    def said(self):
        return int(os.read(self.r, 100))
    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.r)

def opened(name, mode):
    return os.open(mnt + "/" + name, mode)

def flocks(name, mode, how):
    def f():
        return result(fcntl.flock, opened(name, mode), how)
    return f

def ranges(name, mode, how, first, n):
    def f():
        return result(fcntl.lockf, opened(name, mode), how, n, first)
    return f

def one(f):
    """What another process is told, that ends then."""
    c = Child(f)
    said = c.said()
    c.kill()
    return said

def read_then_write(name):
    """Two inodes of a path: that of a reader, and that of writers."""
    old = opened(name, os.O_RDONLY)
    assert os.read(old, 3) == b"old"
    new = opened(name, os.O_RDWR)
    os.pwrite(new, b"new", 0)
    assert os.pread(old, 3, 0) == b"old" and os.pread(new, 3, 0) == b"new"
    return old, new

# flock: who does not wait
old, new = read_then_write("a")
fcntl.flock(old, SH)
assert result(fcntl.flock, new, EX | NB) == errno.EWOULDBLOCK
assert result(fcntl.flock, new, SH | NB) == 0
assert one(flocks("a", os.O_RDWR, EX | NB)) == errno.EWOULDBLOCK
fcntl.flock(new, UN)
fcntl.flock(old, UN)
assert result(fcntl.flock, new, EX | NB) == 0
assert result(fcntl.flock, old, SH | NB) == errno.EWOULDBLOCK
fcntl.flock(new, SH)  # what it had becomes less
assert result(fcntl.flock, old, SH | NB) == 0
# A descriptor that is the same open file
same = os.dup(old)
fcntl.flock(same, UN)
os.close(same)
assert status("locks") == 1
os.close(new)
assert one(flocks("a", os.O_RDWR, EX | NB)) == 0

# who waits, until it is unlocked, closed, or killed
fcntl.flock(old, SH)
c = Child(flocks("a", os.O_RDWR, EX))
wait_until("lock_waits", 1)
fcntl.flock(old, UN)
assert c.said() == 0
assert result(fcntl.flock, old, SH | NB) == errno.EWOULDBLOCK
d = Child(flocks("a", os.O_RDONLY, SH))
e = Child(flocks("a", os.O_RDONLY, SH))
wait_until("lock_waits", 2)
c.kill()
assert d.said() == 0 and e.said() == 0
c = Child(flocks("a", os.O_RDWR, EX))
wait_until("lock_waits", 1)
d.kill()
assert status("lock_waits") == 1
e.kill()
assert c.said() == 0
c.kill()
wait_until("locks", 0)

# a signal
fcntl.flock(old, SH)
def interrupted():
    fd = opened("a", os.O_RDWR)
    signal.signal(signal.SIGALRM, lambda *args: None)
    assert libc.flock(fd, EX) == -1
    return ctypes.get_errno()
c = Child(interrupted)
wait_until("lock_waits", 1)
os.kill(c.pid, signal.SIGALRM)
assert c.said() == errno.EINTR
assert status("lock_waits") == 0
c.kill()
# and one that kills
c = Child(flocks("a", os.O_RDWR, EX))
wait_until("lock_waits", 1)
c.kill()
wait_until("lock_waits", 0)
# Who does not wait is not interrupted either.
signal.signal(signal.SIGALRM, lambda *args: None)
fd = opened("a", os.O_RDWR)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
for i in range(20):
    assert libc.flock(fd, EX | NB) == -1
    assert ctypes.get_errno() == errno.EWOULDBLOCK, ctypes.get_errno()
signal.setitimer(signal.ITIMER_REAL, 0)
os.close(fd)
os.close(old)
assert one(flocks("a", os.O_RDWR, EX | NB)) == 0

# fcntl: ranges
def getlk(fd, how, first, n):
    t, _, start, length, pid = struct.unpack("hhqqi4x", fcntl.fcntl(
        fd, fcntl.F_GETLK, struct.pack("hhqqi4x", how, 0, first, n, 0)))
    return (t, start, length, pid) if t != fcntl.F_UNLCK else None
old, new = read_then_write("b")
reader = Child(ranges("b", os.O_RDONLY, SH, 100, 50))
assert reader.said() == 0
for first, n, how, want in ((0, 100, EX, 0), (150, 0, EX, 0), (149, 1, EX, 1),
                            (100, 1, EX, 1), (0, 0, EX, 1), (0, 0, SH, 0)):
    said = result(fcntl.lockf, new, how | NB, n, first)
    assert said in busy if want else said == 0, (first, n, how, said)
    fcntl.lockf(new, UN)
assert getlk(new, fcntl.F_WRLCK, 0, 0) == (fcntl.F_RDLCK, 100, 50, reader.pid)
assert getlk(new, fcntl.F_RDLCK, 0, 0) is None
# A hole within what one process has, and one lock again.
fcntl.lockf(new, EX, 100, 0)
fcntl.lockf(new, UN, 10, 20)
assert one(ranges("b", os.O_RDONLY, SH | NB, 20, 10)) == 0
assert one(ranges("b", os.O_RDONLY, SH | NB, 19, 1)) in busy
assert one(ranges("b", os.O_RDONLY, SH | NB, 30, 1)) in busy
assert status("locks") == 3
fcntl.lockf(new, EX, 10, 20)
assert status("locks") == 2
# An fsync makes it a version of the store's, and locks stay.
os.fsync(new)
assert one(ranges("b", os.O_RDONLY, SH | NB, 0, 1)) in busy
# Any descriptor's close unlocks what the process has.
os.close(opened("b", os.O_RDWR))
assert one(ranges("b", os.O_RDONLY, SH | NB, 0, 1)) == 0
c = Child(ranges("b", os.O_RDWR, EX, 0, 0))
wait_until("lock_waits", 1)
reader.kill()
assert c.said() == 0
assert result(fcntl.lockf, old, SH | NB, 1, 7) in busy
c.kill()
wait_until("locks", 0)

# A reader dies whose descriptor another one has as well, who owns the lock if
# it is one of the open file.
F_OFD_SETLK = 37
def leave_behind():
    fd = opened("b", os.O_RDONLY)
    heir = os.fork()
    if heir == 0:
        signal.pause()
    with open(heirs, "w") as f:
        f.write(str(heir))
    fcntl.fcntl(fd, F_OFD_SETLK,
                struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, 0, 1, 0))
    return 0
c = Child(leave_behind)
assert c.said() == 0
c.kill()
assert getlk(new, fcntl.F_WRLCK, 0, 0)[:3] == (fcntl.F_RDLCK, 0, 1)
c = Child(ranges("b", os.O_RDWR, EX, 0, 0))
wait_until("lock_waits", 1)
os.kill(int(open(heirs).read()), signal.SIGKILL)
assert c.said() == 0
c.kill()

# Two that would wait for each other
fcntl.lockf(new, EX, 1, 0)
def cross():
    fd = opened("b", os.O_RDWR)
    fcntl.lockf(fd, EX, 1, 1)
    return result(fcntl.lockf, fd, EX, 1, 0)
c = Child(cross)
wait_until("lock_waits", 1)
assert result(fcntl.lockf, new, EX, 1, 1) == errno.EDEADLK
fcntl.lockf(new, UN)
assert c.said() == 0
c.kill()
os.close(new)
os.close(old)

# renames, of the file and of its directory; the old name is free
for before, after in (("d/c", "d/moved"), ("d/moved", "other/moved")):
    old = opened(before, os.O_RDONLY)
    fcntl.flock(old, SH)
    if after.startswith("d/"):
        os.rename(mnt + "/" + before, mnt + "/" + after)
    else:
        os.rename(mnt + "/d", mnt + "/other")
        os.mkdir(mnt + "/d")
    assert one(flocks(after, os.O_RDWR, EX | NB)) == errno.EWOULDBLOCK
    fd = os.open(mnt + "/" + before, os.O_RDWR | os.O_CREAT)
    assert result(fcntl.flock, fd, EX | NB) == 0
    os.close(fd)
    c = Child(flocks(after, os.O_RDWR, EX))
    wait_until("lock_waits", 1)
    os.close(old)
    assert c.said() == 0
    c.kill()
# over one that is locked as well: each keeps its own
a, b = opened("e", os.O_RDONLY), opened("f", os.O_RDONLY)
fcntl.flock(a, SH)
fcntl.flock(b, SH)
c = Child(flocks("f", os.O_RDWR, EX))
d = Child(flocks("e", os.O_RDWR, EX))
wait_until("lock_waits", 2)
os.rename(mnt + "/e", mnt + "/f")
os.close(b)
assert c.said() == 0
assert one(flocks("f", os.O_RDWR, EX | NB)) == errno.EWOULDBLOCK
os.close(a)
assert d.said() == 0
assert one(flocks("f", os.O_RDWR, SH | NB)) == errno.EWOULDBLOCK
d.kill()
assert one(flocks("f", os.O_RDWR, EX | NB)) == 0
# over one that is locked, by one that is not
os.close(os.open(mnt + "/e", os.O_RDWR | os.O_CREAT))
b = opened("f", os.O_RDWR)
fcntl.lockf(b, EX)
os.rename(mnt + "/e", mnt + "/f")
assert one(ranges("f", os.O_RDWR, EX | NB, 0, 0)) == 0
os.close(b)
# and a new one in place of one that is removed
b = opened("f", os.O_RDWR)
fcntl.flock(b, EX)
e = Child(flocks("f", os.O_RDWR, EX))
wait_until("lock_waits", 1)
os.unlink(mnt + "/f")
a = os.open(mnt + "/f", os.O_RDWR | os.O_CREAT)
assert result(fcntl.flock, a, EX | NB) == 0
os.close(b)
assert e.said() == 0
assert one(flocks("f", os.O_RDWR, EX | NB)) == errno.EWOULDBLOCK
os.close(a)
c.kill()
e.kill()
wait_until("locks", 0)

# A close that a signal ended has unlocked, and its commit, which goes on, does
# not unlock what the same process has locked since.
def asked(what, *body):
    with urllib.request.urlopen(sim + "/_sim/" + what, *body) as answer:
        return answer.read()

def interrupt_when_held():
    while int(asked("fired?rule=gate")) == 0:
        pass
    signal.pthread_kill(threading.main_thread().ident, signal.SIGALRM)

if sim:
    signal.signal(signal.SIGALRM, lambda *args: None)
    asked("rules", b'{"name":"gate","op":"PUT","hold":true}')
    done = status("commits_done")
    old = opened("g", os.O_RDONLY)
    handles = status("handles")
    new = opened("g", os.O_RDWR)
    fcntl.lockf(new, EX)
    os.pwrite(new, b"new", 0)
    threading.Thread(target=interrupt_when_held).start()
    assert libc.close(new) == -1 and ctypes.get_errno() == errno.EINTR
    assert one(ranges("g", os.O_RDONLY, SH | NB, 0, 0)) == 0
    fcntl.lockf(old, SH)
    asked("release?rule=gate", b"")
    wait_until("commits_done", done + 1)
    wait_until("handles", handles)
    assert one(ranges("g", os.O_RDWR, EX | NB, 0, 0)) in busy
    os.close(old)
    wait_until("locks", 0)
PY
printf 'old, and what is locked' >"$W/old"
for name in a b d/c e f g; do store_put "$name" "$W/old"; done
sim=
[ "$STORE_KIND" != objsim ] || sim=$SIM
timeout -s ABRT 60 python3 -X faulthandler "$W/locks.py" "$MNT" "$TARN" \
	"$W/heir" "$sim"
umount_tarn
