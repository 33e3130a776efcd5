# SPDX-License-Identifier: Apache-2.0
# A21, S2, T1: an object is overwritten while a handle reads it, with the same
# size and in the same second too: the handle reads its version or gets
# ESTALE, a new open sees the new one.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
cat >"$W/read.py" <<'PY'
import errno, os, subprocess, sys
path, sim, size, old, new = sys.argv[1:6]
size = int(size)
def data(seed):
    subprocess.check_call(["curl", "-fsS", "-X", "POST", sim +
        "/_sim/put?bucket=bucket&key=f&mtime=1700000000&size=%d&seed=%s" % (size, seed)])
    return subprocess.check_output(["curl", "-fsS", sim + "/_sim/get?bucket=bucket&key=f"])
first = data(old)
fd = os.open(path, os.O_RDONLY)
got = os.pread(fd, 4096, 0)
assert got == first[:4096], "first bytes"
second = data(new)
stale = 0
for off in list(range(0, size, 65536)) + [size - 100, size // 2]:
    try:
        b = os.pread(fd, 65536, off)
        assert b == first[off:off + 65536], ("mixed", off, b == second[off:off + 65536])
    except OSError as e:
        assert e.errno == errno.ESTALE, e
        stale += 1
fd2 = os.open(path, os.O_RDONLY)
b = b"".join(iter(lambda: os.read(fd2, 1 << 20), b""))
assert b == second, "new open: old bytes" if b == first else "new open: wrong bytes"
try:
    b = os.pread(fd, 100, size - 100)
    assert b == first[-100:], "old handle after the new open"
except OSError as e:
    assert e.errno == errno.ESTALE, e
print(stale)
PY
mount_tarn consistency=strict,readahead=1M
# Every GET names the version that it wants.
tagged() { # of the mount's GETs, those with and without a tag
	sim 'journal?op=GET' >"$W/journal"
	json "$W/journal" \
		'"%d %d" % (sum(e["if_match"] != "" for e in j), sum(e["if_match"] == "" for e in j))'
}
seed=1
stale=0
for size in 65535 65537 1048577 40000000; do
	n=$(python3 "$W/read.py" "$MNT/f" "$SIM" $size $seed $((seed + 1)))
	stale=$((stale + n))
	seed=$((seed + 2))
done
# The fault fired: the large one was not cached whole when it changed.
expect_ge "$stale" 1 "reads that were ESTALE"
expect_ge "$(sim 'count?op=GET&status=412')" 1 "answers 412"
read -r with without <<T
$(tagged)
T
expect_ge "$with" 4 "GETs with If-Match"
expect_eq "$without" 0 "GETs without If-Match"
umount_tarn
