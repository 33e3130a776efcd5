# SPDX-License-Identifier: Apache-2.0
# E7, E11, T2: however a mount ends, by umount, lazily, or by a signal while
# programs write, what was written is in the store when its daemon has ended. A
# daemon that could not bring it there says so and keeps it; one that is told
# twice does not wait.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
make_file "$W/small" 300000 1
make_file "$W/large" 30000000 2
small=$(sha "$W/small") large=$(sha "$W/large")
mount_rw() { mount_tarn rw,part-size=5M && pid=$(mount_pid); }
ended() { wait_for 30 no_process "$pid"; }
held() { [ "$(sim_fired gate)" -ge "${1:-1}" ]; }
nothing_staged() {
	[ -z "$(find "$W/staging" -mindepth 2 -type f)" ] || fail "left: $(find "$W/staging" -type f)"
}
# Writes a file, then says so, and has it open until it is told to close.
cat >"$W/holder.py" <<'PY'
import os, sys
path, source = sys.argv[1:3]
fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
data = open(source, "rb").read()
half = len(data) // 2
os.write(fd, data[:half])
print("wrote half", flush=True)
sys.stdin.readline()
os.write(fd, data[half:])
os.close(fd)
print("closed", flush=True)
PY
# hold NAME FILE: begin one; `tell` has it go on.
hold() {
	rm -f "$W/in" "$W/said"
	mkfifo "$W/in"
	python3 "$W/holder.py" "$MNT/$1" "$W/$2" <"$W/in" >"$W/said" 2>"$W/holder.err" 9>&- &
	holder=$!
	exec 8>"$W/in"
	wait_for 20 grep -q wrote "$W/said"
}
tell() {
	echo on >&8
	exec 8>&-
	wait $holder
}
half() { head -c $(($(stat -c %s "$W/$1") / 2)) "$W/$1" | sha -; }

# Right after the close.
mount_rw
for f in small large; do
	cp "$W/$f" "$MNT/closed-$f"
done
"$TARN" umount "$MNT"
no_process "$pid" || fail "umount returned before the daemon ended"
expect_eq "$(sim_sha closed-small) $(sim_sha closed-large)" "$small $large"
nothing_staged

# What is open keeps the mount; what it was about to be told loses nothing.
mount_rw
hold open large
if "$TARN" umount "$MNT" 2>"$W/err"; then fail "unmounted while a file was open"; fi
grep -q 'in use' "$W/err" || fail "$(cat "$W/err")"
tell
expect_eq "$(sim_sha open)" "$large"
umount_tarn
nothing_staged

# Lazily: who has it open goes on, and its close is as true as ever.
for how in 'fusermount3 -uz' "$TARN umount --force"; do
	for f in small large; do
		mount_rw
		hold "lazy-$f" $f
		$how "$MNT"
		expect_eq "$(mounts_here)" ""
		no_process "$pid" && fail "the daemon ended before the file was closed"
		tell
		expect_eq "$(sim_sha lazy-$f)" "$(sha "$W/$f")" "$how, $f"
		ended
	done
done
nothing_staged

# The same when nobody closes it, and so nobody waits: who has it is killed.
mount_rw
hold orphan large
fusermount3 -uz "$MNT"
sim_rule '{"name":"gate","op":"COMPLETE","hold":true}'
kill -9 $holder
exec 8>&-
wait_for 20 held
no_process "$pid" && fail "the daemon ended before its commit"
sim release?rule=gate ''
sim clear ''
ended
expect_eq "$(sim_sha orphan)" "$(half large)"
nothing_staged

# Told to end while a file is open: what was written is brought to the store.
for f in small large; do
	for sig in TERM INT; do
		mount_rw
		hold "$sig-$f" $f
		kill -$sig "$pid"
		ended
		expect_eq "$(mounts_here)" ""
		tell && fail "written to a mount that is no more"
		expect_eq "$(sim_sha "$sig-$f")" "$(half $f)" "$sig, $f"
	done
done
nothing_staged

# While a close waits for its commit, and while another has only begun.
mount_rw
sim_rule '{"name":"gate","op":"PUT","hold":true}'
cp "$W/small" "$MNT/closing1" 2>"$W/err" &
cp "$W/small" "$MNT/closing2" 2>"$W/err" &
wait_for 20 held 2
kill -TERM "$pid"
gone() { [ -z "$(mounts_here)" ]; }
wait_for 20 gone
no_process "$pid" && fail "the daemon ended before its commits"
sim release?rule=gate ''
sim clear ''
ended
expect_eq "$(sim_sha closing1) $(sim_sha closing2)" "$small $small"
nothing_staged

# What could not be brought there is kept, and the exit code says so.
mount_rw
umount_tarn
sim_rule '{"name":"no","op":"PUT","status":403,"code":"AccessDenied"}'
for times in once twice; do
	TARN_OPTIONS=cache-dir=$CACHE,staging-dir=$W/staging,rw,$STORE_OPTS
	# Who does not wait joins no threads.
	TSAN_OPTIONS=$TSAN_OPTIONS:report_thread_leaks=0 \
		"$TARN" mount "$SOURCE" "$MNT" -f -o "$TARN_OPTIONS" \
		>"$W/fg.out" 2>"$W/fg.log" 8>&- 9>&- &
	pid=$!
	is_there() { [ -n "$(mounts_here)" ] && ls "$MNT"; }
	wait_for 20 is_there
	hold "kept-$times" small
	kill -TERM $pid
	if [ $times = twice ]; then
		wait_for 20 held
		wait_for 20 grep -q 'is unmounted' "$W/fg.log"
		kill -TERM $pid
	fi
	rc=0
	wait $pid || rc=$?
	expect_eq $rc 1 "exit of a daemon that could not save, told $times"
	grep -q "kept in $W/staging" "$W/fg.log" || fail "$(cat "$W/fg.log")"
	expect_eq "$(find "$W/staging" -name '*.data' -size +100k | wc -l)" 1 "kept"
	tell && fail "written to a mount that is no more"
	rm -rf "$W/staging"
	sim clear ''
	sim_rule '{"name":"gate","op":"PUT","hold":true}'
done
sim release?rule=gate ''
