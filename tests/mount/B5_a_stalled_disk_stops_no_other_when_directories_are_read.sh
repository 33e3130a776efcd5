# SPDX-License-Identifier: Apache-2.0
# B5: listings that have to be read from a cache disk that hangs. More of them
# than the loop has threads: who needs no disk is answered all the same, and
# who waits for it can be killed.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim "many?bucket=bucket&prefix=d/&n=20000" '' >"$W/o" # more than is held in memory
sim_put new/file 'size=7&seed=3' >"$W/o"
sim_put small 'size=1000&seed=2' >"$W/o"
: >"$W/faults"
export FAULTIO="$W/faults"
TARN_WRAP="env LD_PRELOAD=$SHIMS/libfaultio.so"
mount_tarn passthrough=off
unset FAULTIO
expect_eq "$(find "$MNT/d" -type f | wc -l)" 20000
small=$(sha "$MNT/small")
sync -f "$CACHE" # what is dirty is not dropped
drop_caches
sha "$MNT/small" >"$W/o" # in memory again; d/ is not
echo "pread,read $CACHE/v1 1 0 stall:20000" >"$W/rule"
mv "$W/rule" "$W/faults"
pids=
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	ls "$MNT/d" >"$W/ls.$i" 2>&1 &
	pids="$pids $!"
done
wait_for 10 test -s "$W/faults.fired"
timeout 5 stat -f "$MNT" >"$W/o" || fail "the mount waited for the disk"
timeout 5 sha256sum <"$MNT/small" >"$W/sum" || fail "a file in memory waited"
expect_eq "$(cut -d" " -f1 "$W/sum")" "$small"
expect_eq "$(timeout 5 stat -c %s "$MNT/new/file")" 7 "a name that needs no disk"
for pid in $pids; do
	kill -9 "$pid"
	wait_for 2 no_process "$pid"
done
: >"$W/rule"
mv "$W/rule" "$W/faults"
pid=$(mount_pid)
"$TARN" umount "$MNT"
wait_for 40 no_process "$pid"
