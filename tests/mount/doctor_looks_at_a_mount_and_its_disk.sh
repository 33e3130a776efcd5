# SPDX-License-Identifier: Apache-2.0
# tarn doctor DIR: with the mount's own options; a mount that answers, one
# whose store is gone, whose disk is full, that was stopped, that was killed.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
small_disk 60
start_store
sim_put f 'size=3000000&seed=1' >"$W/o"
doctor() { # EXIT ARGUMENT...
	want=$1
	shift
	set +e
	timeout 100 "$TARN" doctor "$@" >"$W/doctor" 2>&1
	rc=$?
	set -e
	expect_eq "$rc" "$want" "exit of doctor $*: $(cat "$W/doctor")"
}
says() { # RESULT CHECK [WORDS]
	grep -qE "^$1  $2 .*${3-}" "$W/doctor" ||
		fail "no '$1 $2 ${3-}' in: $(cat "$W/doctor")"
}
only() { # CHECK...
	got=$(awk '$1 == "FAIL" { print $2 }' "$W/doctor" | tr '\n' ' ')
	expect_eq "$got" "$* " "what failed: $(cat "$W/doctor")"
}
mount_tarn
pass=$(mount_stat "$MNT" "m['passthrough']")
# The endpoint is the mount's: no option says it here.
doctor 0 "$MNT"
says PASS mount "$MNT answers"
says PASS cache-dir "$CACHE_DIR is"
says PASS get
[ "$pass" != True ] || says PASS passthrough 'of the cache'
# By a path below, and by a symlink.
doctor 0 "$MNT/f"
ln -s "$MNT" "$W/link"
doctor 0 "$W/link"
says PASS mount "$MNT answers"
expect_eq "$(find "$CACHE_DIR" -name 'format.*' | wc -l)" 0 "left files"
says PASS staging-dir "$W/staging is"
expect_eq "$(ls -A "$MNT")" f "what its put left"

# Written files would go to the mount, or to a disk with little room.
for d in "$MNT/s" "$W/link/s" "$MNT"; do
	doctor 1 "$MNT" -o "staging-dir=$d"
	only staging-dir
	says FAIL staging-dir "$d is on the mount of s3://bucket on $MNT: .*; name another"
done
doctor 1 "$MNT" -o "staging-dir=$W/disk/s"
only staging-dir
says FAIL staging-dir 'MiB free: .*ENOSPC; free some'

# The disk of the cache is full.
dd if=/dev/zero of="$W/disk/fill" bs=64K 2>"$W/dd" || true
dd if=/dev/zero of="$W/disk/fill2" bs=4K 2>>"$W/dd" || true
grep -q 'No space left' "$W/dd" || fail "the disk was not full"
doctor 1 "$MNT"
only cache-space cache-io
says FAIL cache-space 'free: below 5 %.*; free some'
says FAIL cache-io 'No space left.*; free some'
rm "$W/disk/fill" "$W/disk/fill2"

# The store is gone: the checks say so, and so does the mount.
sim_rule '{"name": "gone", "op": "LIST", "status": 404, "code": "NoSuchBucket"}'
unhealthy() {
	doctor 1 "$MNT"
	grep -q '^FAIL  mount ' "$W/doctor"
}
wait_for 40 unhealthy # it asks every ten seconds
only list mount
says FAIL mount 'NoSuchBucket.*; mend'
sim clear ''

# Stopped: doctor itself does not hang.
pid=$(mount_pid)
kill -STOP "$pid"
at_exit "kill -CONT $pid 2>/dev/null"
doctor 1 "$MNT" -o "$STORE_OPTS,cache-dir=$CACHE_DIR"
only mount
says FAIL mount 'hangs.*; see its log'
kill -CONT "$pid"

# Killed: its source is still known; the next mount heals it.
kill -9 "$pid"
wait_for 20 no_process "$pid"
doctor 1 "$MNT" -o "$STORE_OPTS,cache-dir=$CACHE_DIR"
only mount
says PASS source s3://bucket
says FAIL mount 'is gone; mount it again'
"$TARN" mount "$SOURCE" "$MNT" -o "$STORE_OPTS,cache-dir=$CACHE_DIR" \
	>"$W/o" 2>&1 9>&- || fail "$(cat "$W/o")"
doctor 0 "$MNT"
umount_tarn
doctor 1 "$MNT"
grep -q 'neither a source nor on a mount' "$W/doctor"
