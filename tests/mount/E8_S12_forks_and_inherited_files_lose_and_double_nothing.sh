# SPDX-License-Identifier: Apache-2.0
# E8, S12: a file is handed to children by fork, dup and exec, as shells do all
# day. Whoever wrote commits with its close, others do not: no upload is made
# twice, and no tail is lost.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
mount_tarn rw
puts() { # KEY
	sim "count?op=PUT&key=$1"
}
# check NAME MOST: as the twin is, whole, by so many PUTs.
check() {
	in_store() { [ "$(sim_sha "$1")" = "$(sha "$W/$1.twin")" ]; }
	# The last close of a child that writes on is told later than its end.
	wait_for 20 in_store "$1"
	expect_eq "$(sha "$MNT/$1")" "$(sha "$W/$1.twin")" "$1"
	expect_ge "$(puts "$1")" 1 "PUTs of $1"
	expect_le "$(puts "$1")" "$2" "PUTs of $1"
}

# The shell opens and closes it; who writes is the shell, which does not fork.
shells() { # FILE
	for i in 1 2 3 4 5 6 7 8 9 10; do
		echo "line $i"
	done >"$1"
}
shells "$W/loop.twin"
shells "$MNT/loop"
check loop 1

# Each line is by another child, which ends with the file open: one that wrote
# may commit with its end, and the shell ends it.
children() {
	for i in 1 2 3 4 5 6 7 8 9 10; do
		/bin/echo "line $i"
	done >"$1"
}
children "$W/kids.twin"
children "$MNT/kids"
check kids 11

# Children that have it and do not write: nothing but the last close commits.
quiet() {
	{
		echo first
		for i in 1 2 3 4 5; do
			/bin/true
			sh -c 'exit 0'
			(exec 1>&-)
		done
		echo last
	} >"$1"
}
quiet "$W/quiet.twin"
quiet "$MNT/quiet"
check quiet 1

# Appended to by many opens: each is one.
often() {
	for i in 1 2 3 4 5; do
		echo "line $i" >>"$1"
	done
}
often "$W/often.twin"
often "$MNT/often"
check often 5

# By exec, and by a child that outlives the shell that opened it.
inherited() {
	(
		exec 4>"$1"
		echo before >&4
		sh -c 'echo child >&4; exec /bin/sh -c "echo exec >&4"'
		{
			read -r _ <"$W/later"
			echo after >&4
		} &
	)
}
for f in "$W/inherited.twin" "$MNT/inherited"; do
	mkfifo "$W/later"
	inherited "$f"
	echo go >"$W/later"
	rm "$W/later"
done
check inherited 5

cat >"$W/fork.py" <<'PY'
import os, subprocess, sys
sim, path, twin = sys.argv[1], sys.argv[2], sys.argv[3]
def puts():
    return int(subprocess.run(
        ["curl", "-fsS", sim + "/_sim/count?op=PUT&key=fork*"], check=True,
        capture_output=True).stdout)
def store(key):
    return subprocess.run(
        ["curl", "-fsS", sim + "/_sim/get?bucket=bucket&key=" + key],
        capture_output=True).stdout
def child(f):
    pid = os.fork()
    if pid == 0:
        f()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
n = 0
def fresh():
    global n
    n += 1
    return os.open(path + str(n), os.O_RDWR | os.O_CREAT), "fork%d" % n

# Children that close, or end with it open, after the parent wrote.
fd, key = fresh()
os.write(fd, b"parent")
had = puts()
child(lambda: os.close(fd))
child(lambda: None)
child(lambda: os.close(os.dup(fd)))
assert puts() == had, "a child that wrote nothing has committed"
os.write(fd, b" more")
os.close(fd)
assert store(key) == b"parent more" and puts() == had + 1

# A child that writes: its close is true; the parent goes on.
fd, key = fresh()
def writes():
    os.write(fd, b"child")
    os.close(fd)
    assert store(key) == b"child"
child(writes)
os.write(fd, b" parent")
os.close(fd)
assert store(key) == b"child parent"

# dup: each close by who wrote is true; one where nothing is new asks nothing.
fd, key = fresh()
os.write(fd, b"one")
two = os.dup(fd)
had = puts()
os.close(fd)
assert store(key) == b"one" and puts() == had + 1
os.close(two)
assert puts() == had + 1
# With exec of a program that inherits it.
fd, key = fresh()
os.set_inheritable(fd, True)
subprocess.run(["sh", "-c", "echo said >&%d" % fd], pass_fds=[fd], check=True)
os.close(fd)
assert store(key) == b"said\n", store(key)
# Several children at once that append to one open file.
fd, key = fresh()
os.close(fd)
fd = os.open(path + str(n), os.O_WRONLY | os.O_APPEND)
pids = []
for i in range(8):
    pid = os.fork()
    if pid == 0:
        for j in range(20):
            os.write(fd, b"%02d%02d\n" % (i, j))
        os.close(fd)
        os._exit(0)
    pids.append(pid)
for p in pids:
    assert os.waitpid(p, 0)[1] == 0
lines = store(key).split()
assert sorted(lines) == [b"%02d%02d" % (i, j) for i in range(8)
                         for j in range(20)], len(lines)
os.close(fd)
PY
python3 "$W/fork.py" "$SIM" "$MNT/fork" "$W/o"
no_errors mnt
umount_tarn
[ -z "$(find "$W/staging" -mindepth 2 -type f)" ] || fail "left: $(find "$W/staging" -type f)"
