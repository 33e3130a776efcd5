# SPDX-License-Identifier: Apache-2.0
# E12: the log is on a full disk, or a pipe whose reader left or never reads:
# lines are lost, the daemon lives, no read fails or waits, and lines come
# again when there is room.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
need_command mountpoint
start_store
i=0
while [ $i -lt 40 ]; do
	i=$((i + 1))
	sim_put "f$i" "size=1000&seed=$i" >"$W/o"
done
want=$(sim_sha f1)
# Its calls for a line are counted, and done.
watch_log() { # CALL PATH
	echo "$1 $2 1 0 stall:0" >"$W/faults"
	: >"$W/faults.fired"
}
attempts() { stat -c %s "$W/faults.fired"; }
TARN_WRAP="env FAULTIO=$W/faults LD_PRELOAD=$SHIMS/libfaultio.so"
start() { # LOG: sets pid
	watch_log write "$1"
	# shellcheck disable=SC2086 # TARN_WRAP is words
	$TARN_WRAP "$TARN" mount "$SOURCE" "$MNT" -d ufs,cache,fuse,meta \
		-o "cache-dir=$CACHE,log=$1,log-level=debug,consistency=strict,$STORE_OPTS" \
		>"$W/mount.out" 2>&1 9>&- || fail "mount: $(cat "$W/mount.out")"
	pid=$(mount_pid)
	find "/proc/$pid/fd" -lname "$1" | grep -q . || fail "$1 is not its log"
}
# Each asks the store, and is told of in the log.
work() { # AT-LEAST-SO-MANY lines that it wants to write
	before=$(attempts)
	expect_eq "$(timeout 60 cat "$MNT/f1" | sha256sum | cut -d' ' -f1)" \
		"$want" "bytes"
	while [ $(($(attempts) - before)) -lt "$1" ]; do
		timeout 60 cat "$MNT"/f* >"$W/o" || fail "a read failed or waits"
	done
	expect_eq "$(mount_pid)" "$pid" "the daemon"
}

start /dev/full
work 20
umount_tarn

# A real disk that is full, and has room again.
if [ "$(id -u)" = 0 ]; then
	mkdir "$W/tiny"
	mount -t tmpfs -o size=32k tmpfs "$W/tiny"
	start "$W/tiny/log"
	wait_for 20 test -s "$W/tiny/log"
	dd if=/dev/zero of="$W/tiny/fill" bs=4k 2>"$W/dd" || true
	grep -q 'No space left' "$W/dd" || fail "the disk was not full"
	work 200
	had=$(stat -c %s "$W/tiny/log")
	expect_le "$had" 32768 "bytes of the log"
	work 20
	expect_eq "$(stat -c %s "$W/tiny/log")" "$had" "bytes of a full log"
	rm "$W/tiny/fill"
	work 20
	expect_ge "$(stat -c %s "$W/tiny/log")" $((had + 1)) "bytes when there is room"
	umount_tarn
	umount "$W/tiny"
fi

# A pipe: its reader is there, but does not read.
mkfifo "$W/pipe"
exec 7<>"$W/pipe"
start "$W/pipe"
queued() { # bytes that wait in it
	python3 -c 'import array, fcntl, termios
n = array.array("i", [0])
fcntl.ioctl(7, termios.FIONREAD, n)
print(n[0])' 7<&7
}
last=-1
while [ "$(queued)" != "$last" ]; do
	last=$(queued)
	work 200
done
expect_ge "$last" 32768 "bytes in a full pipe"
work 20
expect_eq "$(queued)" "$last" "bytes in a pipe that takes none"
# It reads again: so do lines come.
head -c "$last" <&7 >"$W/drained"
grep -q 'ufs: ' "$W/drained" || fail "nothing was in the pipe"
expect_eq "$(queued)" 0 "bytes once it was read"
work 20
expect_ge "$(queued)" 100 "bytes of new lines"
# Its reader leaves: SIGPIPE for whoever does not mind it.
exec 7>&-
work 20
umount_tarn

# The same of standard error, whose end nobody holds but the daemon.
mkfifo "$W/stderr"
watch_log open /proc/self/fd/2 # which it opens for each line
exec 7<>"$W/stderr"
# shellcheck disable=SC2086 # TARN_WRAP is words
$TARN_WRAP "$TARN" mount "$SOURCE" "$MNT" -f -d ufs,cache,fuse,meta \
	-o "cache-dir=$CACHE,log=stderr,log-level=debug,consistency=strict,$STORE_OPTS" \
	>"$W/mount.out" 2>"$W/stderr" 7>&- 9>&- &
wait_for 20 mountpoint -q "$MNT"
pid=$!
expect_eq "$(mount_pid)" "$pid" "the daemon that was started"
last=-1
while [ "$(queued)" != "$last" ]; do
	last=$(queued)
	work 200
done
expect_ge "$last" 32768 "bytes in a full pipe"
exec 7>&-
work 20
"$TARN" umount "$MNT"
wait $pid || fail "the daemon's end: $?"
