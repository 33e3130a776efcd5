# SPDX-License-Identifier: Apache-2.0
# C9, E1, T2, S10: the daemon is killed while programs write, time and again,
# and mounted again on the same directory: each file is the version that was
# acknowledged last or the one that was on its way, never a blend of them. What
# the mount remembers on its SSD is wiped each time: the store has it.
# stores: objsim file
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
ROUNDS=${ROUNDS:-20} SEED=${SEED:-1}
echo "SEED=$SEED"
WRITERS='1 2 3'
acks=0 n=0
while [ $n -lt "$ROUNDS" ]; do
	n=$((n + 1))
	rm -rf "$CACHE"
	mkdir -m 700 "$CACHE"
	mount_tarn rw,part-size=5M
	pid=$(mount_pid)
	for w in $WRITERS; do
		mkdir -p "$MNT/$w"
		python3 "$HELPERS/versions.py" check "$MNT/$w" "$W/journal$w" >"$W/o" ||
			fail "round $n of seed $SEED, after the kill"
		python3 "$HELPERS/versions.py" write "$MNT/$w" "$W/journal$w" \
			"$SEED.$n.$w" >"$W/acks$w" 8>&- 9>&- &
	done
	# Some time between 0.2 and 1.2 seconds.
	sleep "$(awk -v s="$SEED$n" 'BEGIN { srand(s); print 0.2 + rand() }')"
	kill -9 "$pid"
	wait_for 20 no_process "$pid"
	for w in $WRITERS; do
		wait_for 20 test -s "$W/acks$w"
		acks=$((acks + $(cat "$W/acks$w")))
		rm "$W/acks$w"
	done
done
expect_ge "$acks" "$ROUNDS" "versions that were acknowledged"
mount_tarn
for w in $WRITERS; do
	python3 "$HELPERS/versions.py" check "$MNT/$w" "$W/journal$w" >"$W/o"
done
umount_tarn
echo "$acks versions in $ROUNDS rounds"
