# SPDX-License-Identifier: Apache-2.0
# S3, S2: a new version, larger, then smaller, then of the same size, is opened
# while the old ones are open and mapped: size, bytes and pages of each are of
# its own version, in the kernel's cache too. A page of an old mapping that is
# nowhere any more is SIGBUS, never the new bytes.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
cat >"$W/versions.py" <<'PY'
import mmap, os, signal, subprocess, sys
path, sim = sys.argv[1:3]
def curl(*args):
    return subprocess.check_output(["curl", "-fsS", *args])
def put(key, size, seed):
    curl("-X", "POST", sim + "/_sim/put?bucket=bucket&key=%s&size=%d&seed=%d"
         "&mtime=1700000000" % (key, size, seed))
    return curl(sim + "/_sim/get?bucket=bucket&key=" + key)
def whole(fd, n):
    return os.pread(fd, n + 4096, 0)

held, etags = [], set()
for seed, size in enumerate((3000001, 5000003, 1000, 3000001, 3000001)):
    want = put("f", size, seed + 1)
    fd = os.open(path + "/f", os.O_RDONLY)
    assert os.fstat(fd).st_size == size, "size of version %d" % seed
    assert os.stat(path + "/f").st_size == size, "stat of version %d" % seed
    assert whole(fd, size) == want, "bytes of version %d" % seed
    m = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ)
    held.append((fd, m, want))
    etags.add(os.getxattr(path + "/f", "user.tarn.etag"))
    for i, (fd, m, want) in enumerate(held):
        at = "version %d when %d was open" % (i, seed)
        assert m[:] == want, "mapping of " + at
        assert os.fstat(fd).st_size == len(want), "size of " + at
        assert whole(fd, len(want)) == want, "bytes of " + at
assert len(etags) == len(held), "versions: %s" % etags

# Mappings of which little was looked at before the change.
size = 40000000
old = put("big", size, 77)
fd = os.open(path + "/big", os.O_RDONLY)
m = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ)
m.madvise(mmap.MADV_RANDOM)
assert m[:4096] == old[:4096]
new = put("big", size, 78)
fd2 = os.open(path + "/big", os.O_RDONLY)
n = mmap.mmap(fd2, size, mmap.MAP_SHARED, mmap.PROT_READ)
bus = 0
for off in range(0, size - 4096, 4096 * 997):
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        os._exit(0 if m[off:off + 4096] == old[off:off + 4096] else 1)
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGBUS, status
        bus += 1
    else:
        assert status == 0, "other bytes in the old mapping, at %d" % off
    assert n[off:off + 4096] == new[off:off + 4096], "new mapping at %d" % off
assert n[:] == new, "new mapping"
print(bus)
PY
for o in passthrough=auto passthrough=off; do
	CACHE_DIR=$W/cache-$o
	mount_tarn $o,consistency=strict,readahead=1M,prefetch=off
	bus=$(python3 "$W/versions.py" "$MNT" "$SIM")
	# The version was really gone, and pages of it were asked for.
	expect_ge "$bus" 1 "pages of an old version that were SIGBUS, $o"
	expect_ge "$(sim 'count?op=GET&status=412')" 1 "answers 412"
	umount_tarn
	sim forget ''
done
