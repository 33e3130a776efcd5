# SPDX-License-Identifier: Apache-2.0
# E1: the daemon is killed while files are open, are written, and wait for their
# commit: all of it ends with an error, nothing hangs, and `tarn mount` on the
# same directory works, without any cleaning, also while the old files are open.
# stores: objsim file
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
make_file "$W/data" 3000000 1
store_put there "$W/data"
store_put far "$W/data"
mount_tarn rw,passthrough=off
pid=$(mount_pid)
cat >"$W/open.py" <<'PY'
"""Have files open; when told, use them, and once more. All are errors."""
import errno, os, signal, sys
mnt = sys.argv[1]
reader = os.open(mnt + "/there", os.O_RDONLY)
os.pread(reader, 10, 0)
writer = os.open(mnt + "/new", os.O_RDWR | os.O_CREAT)
os.write(writer, b"written")
upon = os.open(mnt + "/there", os.O_RDWR)
os.pwrite(upon, b"upon", 5)
folder = os.open(mnt, os.O_RDONLY | os.O_DIRECTORY)
for fd in reader, upon:
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
print("open", flush=True)
names = {
    "stat": lambda: os.stat(mnt + "/absent"),
    "open": lambda: os.open(mnt + "/there", os.O_WRONLY),
    "make": lambda: os.open(mnt + "/other", os.O_WRONLY | os.O_CREAT),
    "mkdir": lambda: os.mkdir(mnt + "/dir"),
    "unlink": lambda: os.unlink(mnt + "/there"),
    "rename": lambda: os.rename(mnt + "/there", mnt + "/moved"),
    "list": lambda: os.listdir(mnt),
}
files = {
    "write": lambda: os.write(writer, b"more"),
    "read": lambda: os.pread(reader, 10, 2000000),
    "read back": lambda: os.pread(upon, 10, 1000000),
    "fsync": lambda: os.fsync(writer),
    "truncate": lambda: os.ftruncate(upon, 3),
    "fallocate": lambda: os.posix_fallocate(upon, 4000000, 10),
    "seek": lambda: os.lseek(upon, 0, os.SEEK_DATA),
    "list it": lambda: os.listdir(folder),
}
def try_all(calls):
    wrong = []
    for name, call in calls.items():
        try:
            call()
            wrong.append(name + ": 0")
        except OSError as e:
            if e.errno not in (errno.ENOTCONN, errno.EIO):
                wrong.append(name + ": " + errno.errorcode[e.errno])
    print("wrong:", wrong, flush=True)
sys.stdin.readline()
signal.alarm(60)
try_all({**names, **files})
sys.stdin.readline()
try_all({**files, "close": lambda: os.close(writer)})
for fd in reader, upon, folder:
    try:
        os.close(fd)
    except OSError:
        pass
PY
mkfifo "$W/in"
python3 "$W/open.py" "$MNT" >"$W/said" <"$W/in" 2>"$W/open.err" 8>&- 9>&- &
user=$!
exec 8>"$W/in"
wait_for 20 test -s "$W/said"
# Some wait in the daemon: a close for its commit, a read for the store.
waiters=
if [ "$STORE_KIND" = objsim ]; then
	sim_rule '{"name":"gate","op":"PUT","key":"waits*","hold":true,"apply":false}'
	sim_rule '{"name":"far","op":"GET","key":"far","hold":true}'
	for i in 1 2 3; do
		cp "$W/data" "$MNT/waits$i" 2>"$W/err.$i" 8>&- &
		waiters="$waiters $!"
	done
	cat "$MNT/far" >"$W/o" 2>"$W/err.4" 8>&- &
	waiters="$waiters $!"
	held() { [ "$(sim_fired gate)" -ge 3 ] && [ "$(sim_fired far)" -ge 1 ]; }
	wait_for 20 held
fi
kill -9 "$pid"
wait_for 20 no_process "$pid"
i=0
for p in $waiters; do
	i=$((i + 1))
	wait_for 20 no_process "$p"
	if wait "$p"; then fail "one who waited was told that all is well"; fi
	grep -qE 'not connected|Input/output|connection abort' "$W/err.$i" ||
		fail "who waited was told: $(cat "$W/err.$i")"
done
said() { [ "$(wc -l <"$W/said")" -ge "$1" ] || no_process "$user"; }
echo >&8
wait_for 60 said 2
expect_eq "$(sed -n 2p "$W/said")" 'wrong: []' "on the dead mount"
[ "$STORE_KIND" != objsim ] || sim clear ''

# The same directory, as it is.
mount_tarn rw
cmp "$W/data" "$MNT/there"
cp "$W/data" "$MNT/fresh"
# What was open on the dead one does not become the new one's.
echo >&8
exec 8>&-
wait_for 60 no_process $user
expect_eq "$(sed -n 3p "$W/said")" 'wrong: []' "beside the new one"
cmp "$W/data" "$MNT/there"
cmp "$W/data" "$MNT/fresh"
[ ! -e "$MNT/new" ] || fail "what nobody closed is there"
expect_eq "$(mounts_here)" "$MNT" "mounts"
umount_tarn
