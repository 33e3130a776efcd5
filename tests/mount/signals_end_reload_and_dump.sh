# SPDX-License-Identifier: Apache-2.0
# SIGTERM and SIGINT unmount, in the background and the foreground; SIGHUP
# reads the log level again; SIGUSR1 writes the numbers to the log.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
STORE_KIND=file
start_store
make_file "$W/store/f" 5000
cp "$W/store/f" "$W/copy"
for sig in TERM INT; do
	mount_tarn
	pid=$(mount_pid)
	cmp "$W/copy" "$MNT/f"
	kill -$sig "$pid"
	wait_for 20 no_process "$pid"
	expect_eq "$(mounts_here)" "" "mounts after SIG$sig"
done
mount_tarn
pid=$(mount_pid)
kill -USR1 "$pid"
wait_for 10 grep -q 'state: .*store' "$W/mnt.log"
umount_tarn

# In the foreground; what it prints and logs is readable at once.
printf '{ "log-level": "err", "cache-dir": "%s" }\n' "$CACHE" >"$W/c.json"
"$TARN" mount "$SOURCE" "$MNT" -f -c "$W/c.json" >"$W/fg.out" 2>"$W/fg.log" &
pid=$!
wait_for 20 cmp "$W/copy" "$MNT/f"
kill -USR1 $pid
printf '{ "log-level": "info", "cache-dir": "%s" }\n' "$CACHE" >"$W/c.json"
kill -HUP $pid
wait_for 10 grep -q 'again' "$W/fg.log"
kill -USR1 $pid
wait_for 10 grep -q 'state: ' "$W/fg.log"
kill -TERM $pid
rc=0
wait $pid || rc=$?
expect_eq $rc 0 "exit after SIGTERM"
expect_eq "$(mounts_here)" ""
