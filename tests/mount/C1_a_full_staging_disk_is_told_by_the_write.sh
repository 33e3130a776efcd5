# SPDX-License-Identifier: Apache-2.0
# C1: when the staging's disk is full it is write() that says ENOSPC, and
# neither fsync nor close; what was written before is committed as it is; once
# there is room again the same handle goes on. Its reserve ahead takes no room
# that a record needs.
# stores: file objsim versitygw minio
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
small_disk 60
CACHE_DIR=$CACHE
STAGING_DIR=$W/disk/staging
start_store
mount_tarn rw
# Half of the disk is somebody else's.
head -c 25000000 /dev/zero >"$W/disk/other"
sync
cat >"$W/fill.py" <<'PY'
import errno, hashlib, os, sys
path, size = sys.argv[1], int(sys.argv[2])
def name(f):
    try:
        f()
        return "0"
    except OSError as e:
        return errno.errorcode[e.errno]
fd = os.open(path, os.O_RDWR | os.O_CREAT)
wrote = hashlib.sha256()
n = 0
def write():
    global n
    block = os.urandom(size)
    done = os.write(fd, block)
    wrote.update(block[:done])
    n += done
said = "0"
while said == "0":
    said = name(write)
assert said == "ENOSPC", said
assert n > 10 << 20, n
# Time and again; what fitted is brought to the store.
assert name(write) == "ENOSPC"
assert name(lambda: os.fsync(fd)) == "0"
print(n, wrote.hexdigest(), flush=True)
# Room again.
sys.stdin.readline()
for i in range(20):
    write()
assert name(lambda: os.fsync(fd)) == "0"
assert name(lambda: os.close(fd)) == "0"
assert os.stat(path).st_size == n
print(n, wrote.hexdigest(), flush=True)
PY
in_store() { # NAME: by a mount that knows nothing of it
	rm -rf "$W/fresh-cache"
	mkdir "$W/fresh-cache"
	chmod 700 "$W/fresh-cache"
	CACHE_DIR=$W/fresh-cache mount_tarn -n fresh
	echo "$(stat -c %s "$W/fresh/$1") $(sha "$W/fresh/$1")"
	umount_tarn fresh
}
for size in 1000000 70001; do
	mkfifo "$W/in.$size"
	python3 "$W/fill.py" "$MNT/f$size" $size >"$W/said" <"$W/in.$size" \
		8>&- 9>&- &
	writer=$!
	exec 8>"$W/in.$size"
	wrote() { [ "$(wc -l <"$W/said")" -ge "$1" ] || no_process "$writer"; }
	wait_for 60 wrote 1
	expect_le "$(df --output=avail -B1 "$W/disk" | tail -n 1)" $((size * 2)) "bytes left on the disk"
	expect_eq "$(in_store "f$size")" "$(cat "$W/said")" "what fitted"
	# New files are told when they are made, or written, as on any disk.
	if cp "$TARN" "$MNT/new$size" 2>"$W/err"; then fail "copied to a full disk"; fi
	grep -q 'No space left' "$W/err" || fail "$(cat "$W/err")"
	rm "$W/disk/other"
	echo on >&8
	exec 8>&-
	wait $writer || fail "the writer failed, once there was room"
	expect_eq "$(in_store "f$size")" "$(tail -n 1 "$W/said")" "all of it"
	cp "$TARN" "$MNT/new$size"
	cmp "$TARN" "$MNT/new$size"
	head -c 25000000 /dev/zero >"$W/disk/other"
	sync
done
no_errors mnt
umount_tarn
[ -z "$(find "$STAGING_DIR" -mindepth 2 -type f)" ] || fail "left: $(find "$STAGING_DIR" -mindepth 2 -type f)"
