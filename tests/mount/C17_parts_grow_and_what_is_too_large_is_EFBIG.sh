# SPDX-License-Identifier: Apache-2.0
# C17, S27: what the store cannot take as one object is EFBIG at the write, the
# truncate or the fallocate that goes beyond it, and what was written before is
# committed as it is. (That parts grow ahead of need a unit test tells:
# cache_staging_commit.)
# stores: objsim versitygw minio
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
cat >"$W/edge.py" <<'PY'
"""Nothing goes beyond MOST bytes; up to there it does."""
import errno, os, sys
path, most = sys.argv[1], int(sys.argv[2])
fd = os.open(path, os.O_RDWR | os.O_CREAT)
def fails(f, *args):
    try:
        f(*args)
    except OSError as e:
        return errno.errorcode[e.errno]
    return "0"
os.write(fd, b"before")
beyond = most + 1, 1 << 62, (1 << 63) - 4097
try:
    for at in (most,) + beyond:
        assert fails(os.pwrite, fd, b"x", at) == "EFBIG", at
    for n in beyond:
        assert fails(os.ftruncate, fd, n) == "EFBIG", n
        assert fails(os.truncate, path, n) == "EFBIG", n
        assert fails(os.posix_fallocate, fd, n - 1, 1) == "EFBIG", n
    assert os.fstat(fd).st_size == 6
    # The last byte that there may be; what is before it are holes.
    os.ftruncate(fd, most)
    os.pwrite(fd, b"x", most - 1)
    assert os.fstat(fd).st_size == most
    assert os.pread(fd, 3, most - 2) == b"\0x"
    end = os.open(path, os.O_WRONLY | os.O_APPEND)
    assert fails(os.write, end, b"y") == "EFBIG"
finally:
    os.ftruncate(fd, 6) # nothing of that size is to be sent
os.close(end)
os.pwrite(fd, b" after", 6)
os.fsync(fd)
os.close(fd)
PY
TIB=1099511627776
truncate -s $((5 * TIB)) "$W/sparse" || skip "no files of 5 TiB here"
mount_tarn rw
python3 "$W/edge.py" "$MNT/largest" $((5 * TIB))
umount_tarn
# Parts that are all alike end earlier: ten thousand of them.
mount_tarn rw,part-size=5M
python3 "$W/edge.py" "$MNT/alike" $((10000 * 5242880))
no_errors mnt
umount_tarn
CACHE_DIR=$W/cache2 mount_tarn -n other
for f in largest alike; do
	expect_eq "$(cat "$W/other/$f")" 'before after' "$f in the store"
done
umount_tarn other
