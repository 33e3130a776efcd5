# SPDX-License-Identifier: Apache-2.0
# C3, S13, S16: somebody writes over a staged file with dd, and another process
# reads it before it is committed: EIO, of the whole, of a page and of a byte
# beside the rotten one, and its commit fails. What is committed is read from the
# store then, and its file goes on.
# stores: file objsim
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
mount_tarn rw,part-size=5M,passthrough=off
cat >"$W/rot.py" <<'PY'
import errno, os, sys, time
mnt, staging, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
PAGE = 1 << 16

def staged():
    return {f"{d}/{f}" for d, _, names in os.walk(staging) for f in names
            if f.endswith(".data")}

class File:
    """One that is being written, and a reader whom no page cache helps."""
    def __init__(self, name):
        before = staged()
        self.path = mnt + "/" + name
        self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT)
        self.bytes = bytearray(os.urandom(size))
        os.pwrite(self.fd, self.bytes, 0)
        self.data = self.wait_for_data(before)
        self.reader = os.open(self.path, os.O_RDONLY | os.O_DIRECT)

    def wait_for_data(self, before):
        """What is small is in memory for a second."""
        until = time.monotonic() + 20
        while not staged() - before:
            assert time.monotonic() < until, "no staging file"
            time.sleep(0.01)
        data, = staged() - before
        return data

    def rot(self, at):
        with open(self.data, "r+b") as f:
            f.seek(at)
            was = f.read(1)
            f.seek(at)
            f.write(bytes([was[0] ^ 1]))

    def read(self, n, at):
        """True: as it was written. False: EIO."""
        got = b""
        try:
            while len(got) < n:
                got += os.pread(self.reader, n - len(got), at + len(got))
        except OSError as e:
            assert e.errno == errno.EIO, e
            return False
        assert got == self.bytes[at:at + n], (n, at)
        return True

    def result(self, f, *args):
        try:
            f(*args)
            return 0
        except OSError as e:
            return e.errno

at = size // 2
page = at // PAGE * PAGE
f = File("new")
assert f.read(size, 0)
f.rot(at)
if page > 0:
    assert f.read(page, 0)
n = min(PAGE, size - page)
assert not f.read(n, page)
assert not f.read(1, page + n - 1) and not f.read(1, page)
assert not f.read(size, 0)
assert f.result(os.fsync, f.fd) == errno.EIO
assert f.result(os.close, f.fd) == errno.EIO
os.close(f.reader)
# A reader is the first to find it in what was written over.
f = File("over")
f.bytes[at:at + 1] = b"x"
os.pwrite(f.fd, b"x", at)
assert f.read(size, 0)
f.rot(page)
assert not f.read(1, at)
assert f.result(os.pwrite, f.fd, b"y", 0) == errno.EIO
assert f.result(os.close, f.fd) == errno.EIO
os.close(f.reader)
# The store has it: nothing is lost.
f = File("committed")
os.fsync(f.fd)
f.rot(at)
assert f.read(size, 0) and f.read(1, at) and f.read(1, page)
os.close(f.fd)
os.close(f.reader)
PY
for size in 1 65536 70000 3000000; do
	timeout 60 python3 "$W/rot.py" "$MNT" "$W/staging" $size ||
		fail "of $size bytes"
	"$TARN" recover --staging-dir "$W/staging" --discard "$MNT/new"
	"$TARN" recover --staging-dir "$W/staging" --discard "$MNT/over"
	rm "$MNT/committed"
done
grep -c 'staged bytes are not what was written' "$W/mnt.log" >"$W/count"
expect_eq "$(cat "$W/count")" 8 "files that rotted, by the log"
umount_tarn
