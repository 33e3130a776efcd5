# SPDX-License-Identifier: Apache-2.0
# C2, S13: what the staging's disk could not take or give back, or lost, is an
# error that stays: of every later write, of fsync and of close, also when the
# disk is well again. Nothing is made of such a file, no request is sent for it
# any more, and no upload is left. Others go on.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
: >"$W/faults"
export FAULTIO="$W/faults"
set_faults() { # RULE
	: >"$W/faults.fired"
	echo "$1" >"$W/rule"
	mv "$W/rule" "$W/faults"
}
cat >"$W/poison.py" <<'PY'
"""Write SIZE bytes, wait for a line, then do STEPS; prints what each said."""
import errno, os, sys
path, size, steps = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
fd = os.open(path, os.O_RDWR | os.O_CREAT)
for at in range(0, size, 1 << 20):
    os.write(fd, os.urandom(min(1 << 20, size - at)))
print("wrote", flush=True)
sys.stdin.readline()
def step(what):
    if what == "write":
        os.write(fd, b"more" * 1000)
    elif what == "over":
        os.pwrite(fd, b"over", 10)
    elif what == "sync":
        os.fsync(fd)
    elif what == "read":
        os.pread(fd, 4096, 0)
    elif what == "cut":
        os.ftruncate(fd, 1000)
    else:
        os.close(fd)
for s in steps:
    try:
        step(s)
        print(s, "0", flush=True)
    except OSError as e:
        print(s, errno.errorcode[e.errno], flush=True)
    sys.stdin.readline()
PY
begin() { # NAME SIZE STEP...
	name=$1
	shift
	rm -f "$W/in"
	mkfifo "$W/in"
	# What an earlier one said is gone before the fifo is opened.
	python3 "$W/poison.py" "$MNT/$name" "$@" >"$W/said" <"$W/in" \
		2>"$W/err" 8>&- 9>&- &
	writer=$!
	exec 8>"$W/in"
	said 1
}
said() { # how many lines
	has() { [ "$(wc -l <"$W/said")" -ge "$1" ] || no_process "$writer"; }
	wait_for 60 has "$1"
}
staged() { # What is small is there when it is a second old.
	there() { grep -qs "\"key\": \"$name\"" "$W"/staging/*/*.json; }
	wait_for 60 there
}
go() { # STEP ERRNO
	echo >&8
	steps=$((${steps:-1} + 1))
	said "$steps"
	expect_eq "$(tail -n 1 "$W/said")" "$1 $2" "$name"
}
end() {
	exec 8>&-
	wait "$writer" || fail "$(cat "$W/err")"
	steps=1
}
nothing_of() { # NAME: no object, no upload
	expect_eq "$(sim "head?bucket=bucket&key=$1" 2>&1 | grep -c '"size"')" 0 "objects of $1"
	no_upload() { [ "$(sim "uploads?key=$1")" -eq 0 ]; }
	wait_for 20 no_upload "$1"
}

# The disk takes no write, one time; then it does again.
TARN_WRAP="env LD_PRELOAD=$SHIMS/libfaultio.so"
mount_tarn rw,part-size=5M
for size in 1000 12000000; do
	begin "write-$size" $size write over cut sync close
	staged
	sim forget ''
	set_faults "pwrite $W/staging 1 1 5"
	go write EIO
	expect_eq "$(stat -c %s "$W/faults.fired")" 1 "writes that failed"
	set_faults ''
	for s in over cut sync close; do
		go $s EIO
	done
	end
	nothing_of "write-$size"
	expect_eq "$(sim 'count?op=PUT') $(sim 'count?op=COMPLETE')" "0 0" "after it"
	# The path tells the next one.
	expect_errno EIO cp "$W/said" "$MNT/write-$size"
	"$TARN" recover --staging-dir "$W/staging" --discard "$MNT/write-$size"
	cp "$W/said" "$MNT/write-$size"
done

# It cannot give back what is to be sent.
for size in 1000 4000000 12000000; do
	begin "read-$size" $size sync sync close
	staged
	sim forget ''
	set_faults "pread $W/staging 1 0 5"
	go sync EIO
	expect_ge "$(stat -c %s "$W/faults.fired")" 1 "reads that failed"
	set_faults ''
	requests=$(sim 'count?op=PUT')$(sim 'count?op=PART')$(sim 'count?op=COMPLETE')
	go sync EIO
	go close EIO
	end
	expect_eq "$(sim 'count?op=PUT')$(sim 'count?op=PART')$(sim 'count?op=COMPLETE')" \
		"$requests" "requests after it"
	nothing_of "read-$size"
done

# Nor be made safe, when something else has gone wrong with a file: said, and
# it is not tried again.
begin kept 1000 sync close
sim_rule '{"name":"no","op":"PUT","key":"kept","status":403,"code":"AccessDenied"}'
set_faults "fsync $W/staging 1 0 5"
go sync EACCES
expect_eq "$(stat -c %s "$W/faults.fired")" 1 "fsyncs that failed"
go close EACCES
end
expect_eq "$(stat -c %s "$W/faults.fired")" 1 "fsyncs, in all"
grep -q 'may not outlive a power cut' "$W/mnt.log" || fail "nobody said so"
set_faults ''
sim clear ''
cp "$TARN" "$MNT/well"
expect_eq "$(sim_sha well)" "$(sha "$TARN")"
umount_tarn
TARN_WRAP=
rm -rf "$W/staging"

# A disk that goes away at once (ext4 that is shut down).
small_disk 60
CACHE_DIR=$CACHE
STAGING_DIR=$W/disk/staging
mount_tarn rw,part-size=5M
begin gone 12000000 write sync close
python3 -c 'import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack("I", 2))' "$W/disk"
go write EIO
go sync EIO
go close EIO
end
nothing_of gone
# Of the next file it is told when it is made.
expect_errno EIO cp "$W/said" "$MNT/next"
umount_tarn
umount "$W/disk"
rm "$W/image"

# A disk that took the bytes and lost them: an image that is larger than what
# it stands on. What is on it is right, or an error and no object.
mkdir "$W/tmpfs"
mount -t tmpfs -o size=24m none "$W/tmpfs"
DISK_IMAGE=$W/tmpfs/image
DISK_OPTIONS="-O ^has_journal"
small_disk 300
CACHE_DIR=$CACHE
mount_tarn rw
cat >"$W/lost.py" <<'PY'
import errno, hashlib, os, sys
mnt, disk = sys.argv[1:]
files = []
for i in range(6):
    fd = os.open("%s/lost%d" % (mnt, i), os.O_RDWR | os.O_CREAT)
    data = os.urandom(7500000)
    os.write(fd, data[:4000000])
    os.pwrite(fd, data[4000000:], 4000000)
    files.append((fd, hashlib.sha256(data).hexdigest()))
os.sync()
with open("/proc/sys/vm/drop_caches", "w") as f:
    f.write("3")
for i, (fd, want) in enumerate(files):
    said = []
    for what in os.fsync, os.close:
        try:
            what(fd)
            said.append("0")
        except OSError as e:
            said.append(errno.errorcode[e.errno])
    print("lost%d" % i, want, *said)
PY
python3 "$W/lost.py" "$MNT" "$W/disk" >"$W/lost"
while read -r name want sync close; do
	case "$sync $close" in
	'0 0') expect_eq "$(sim_sha "$name")" "$want" "$name" ;;
	'EIO EIO') nothing_of "$name" ;;
	*) fail "$name: $sync $close" ;;
	esac
done <"$W/lost"
expect_ge "$(grep -c 'EIO EIO' "$W/lost")" 1 "files that the disk lost"
umount_tarn
