# SPDX-License-Identifier: Apache-2.0
# S25, S26: flock and fcntl locks hold between processes that read, and between
# those that write; statfs tells the space of the staging's disk, fallocate takes
# of it, and nothing when it fails; SEEK_DATA and SEEK_HOLE find what was written.
# stores: objsim file
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
small_disk 100
CACHE_DIR=$CACHE
STAGING_DIR=$W/disk/staging
start_store
mount_tarn rw
cat >"$W/locks.py" <<'PY'
import errno, fcntl, json, os, subprocess, sys
path, tarn = sys.argv[1:]
def waits():
    said = subprocess.run([tarn, "status", "--json", os.path.dirname(path)],
                          check=True, stdout=subprocess.PIPE).stdout
    return json.loads(said)["mounts"][0]["counters"]["lock_waits"]
def child(f):
    """What another process finds."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            f()
            said = "0"
        except OSError as e:
            said = errno.errorcode[e.errno]
        os.write(w, said.encode())
        os._exit(0)
    os.close(w)
    said = os.read(r, 100).decode()
    os.close(r)
    os.waitpid(pid, 0)
    return said
def flock(how):
    return lambda: fcntl.flock(os.open(path, mode), how | fcntl.LOCK_NB)
def lockf(how, at, n):
    return lambda: fcntl.lockf(os.open(path, os.O_RDWR), how | fcntl.LOCK_NB, n, at)
EX, SH, UN = fcntl.LOCK_EX, fcntl.LOCK_SH, fcntl.LOCK_UN
for mode in os.O_RDONLY, os.O_RDWR:
    fd = os.open(path, mode)
    fcntl.flock(fd, EX)
    assert child(flock(EX)) == "EAGAIN" and child(flock(SH)) == "EAGAIN"
    fcntl.flock(fd, SH)
    assert child(flock(EX)) == "EAGAIN" and child(flock(SH)) == "0"
    fcntl.flock(fd, UN)
    assert child(flock(EX)) == "0"
    fcntl.flock(fd, EX)
    os.close(fd)
    assert child(flock(EX)) == "0"
fd = os.open(path, os.O_RDWR)
fcntl.lockf(fd, EX, 100, 50)
assert child(lockf(EX, 100, 10)) in ("EAGAIN", "EACCES")
assert child(lockf(SH, 0, 51)) in ("EAGAIN", "EACCES")
assert child(lockf(EX, 0, 50)) == "0" and child(lockf(EX, 150, 10)) == "0"
fcntl.lockf(fd, UN, 50, 50)
assert child(lockf(EX, 50, 50)) == "0"
assert child(lockf(EX, 100, 10)) in ("EAGAIN", "EACCES")
# It waits, and is let on: by a close, and by a kill.
pid = os.fork()
if pid == 0:
    other = os.open(path, os.O_RDWR)
    fcntl.lockf(other, EX, 10, 100)
    os.pwrite(other, b"locked", 100)
    os._exit(0)
while not waits():
    pass
os.pwrite(fd, b"before", 100)
os.close(fd)
assert os.waitpid(pid, 0)[1] == 0
assert open(path, "rb").read()[99:107] == b"0locked0"
PY
# By another mount, so that nobody has written it here.
head -c 1000 /dev/zero | tr '\0' 0 >"$W/locked"
store_put locked "$W/locked"
timeout 60 python3 "$W/locks.py" "$MNT/locked" "$TARN"

# statfs is that of the disk, whatever else is said of a store.
space() { # PATH
	stat -f -c '%S %b %f %a %c %d' "$1"
}
expect_eq "$(space "$MNT")" "$(space "$W/disk")" "statfs"
cat >"$W/space.py" <<'PY'
import errno, os, sys
mnt, disk = sys.argv[1:]
def free():
    s = os.statvfs(mnt)
    assert s.f_bavail == os.statvfs(disk).f_bavail
    return s.f_bavail * s.f_frsize
fd = os.open(mnt + "/reserved", os.O_RDWR | os.O_CREAT)
before = free()
os.posix_fallocate(fd, 0, 30 << 20)
assert os.fstat(fd).st_size == 30 << 20
assert before - free() >= 30 << 20
# More than there is.
try:
    os.posix_fallocate(fd, 0, 200 << 20)
    sys.exit("reserved more than there is")
except OSError as e:
    assert e.errno == errno.ENOSPC, e
assert os.fstat(fd).st_size == 30 << 20
# What the failed one took is given back, what was reserved stays.
assert before - free() < 31 << 20, before - free()
os.pwrite(fd, b"data", 5 << 20)
os.pwrite(fd, b"x" * 100000, 20 << 20)
os.ftruncate(fd, 29 << 20)
at = os.lseek(fd, 0, os.SEEK_DATA)
assert at <= 5 << 20 and os.lseek(fd, 5 << 20, os.SEEK_DATA) == 5 << 20
hole = os.lseek(fd, 5 << 20, os.SEEK_HOLE)
assert (5 << 20) + 4 <= hole < 20 << 20
assert os.lseek(fd, (20 << 20) + 100000, os.SEEK_HOLE) == (20 << 20) + 100000
assert os.lseek(fd, (29 << 20) - 1, os.SEEK_HOLE) == (29 << 20) - 1
for whence in os.SEEK_DATA, os.SEEK_HOLE:
    try:
        os.lseek(fd, 29 << 20, whence)
        sys.exit("found something behind the end")
    except OSError as e:
        assert e.errno == errno.ENXIO, e
want = bytearray(29 << 20)
want[5 << 20:(5 << 20) + 4] = b"data"
want[20 << 20:(20 << 20) + 100000] = b"x" * 100000
os.close(fd)
assert open(mnt + "/reserved", "rb").read() == want
os.unlink(mnt + "/reserved")
PY
timeout 60 python3 "$W/space.py" "$MNT" "$W/disk"
if fallocate -p -o 0 -l 100 "$MNT/locked" 2>"$W/err"; then fail "punched a hole"; fi
grep -qE 'not supported|unsupported' "$W/err" || fail "$(cat "$W/err")"
umount_tarn
