# SPDX-License-Identifier: Apache-2.0
# S14, C9, C11, S17: with commit=writeback the daemon is killed at any moment,
# time and again, and mounted again on the same directory. Each file is the
# version whose close was told last, or one that was on its way, as soon as the
# mount is there, and so it is in the store once nothing waits any more. What
# the mount remembers on its SSD is wiped each time.
# stores: objsim
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
ROUNDS=${ROUNDS:-26} SEED=${SEED:-1}
echo "SEED=$SEED"
WRITERS='1 2'
waiting() { grep -ls '"acked": true' "$W"/staging/*/*.json; }
none_waits() { [ -z "$(waiting)" ]; }
check_all() { # MOUNT WHEN
	for w in $WRITERS; do
		python3 "$HELPERS/versions.py" check "$1/$w" "$W/journal$w" >"$W/o" ||
			fail "round $n of seed $SEED, $2"
	done
}
fresh_cache() {
	rm -rf "$CACHE" "$W/cache2"
	mkdir -m 700 "$CACHE" "$W/cache2"
}
# So that some wait at any time.
for op in PUT PART COMPLETE; do
	sim_rule '{"name":"slow'$op'","op":"'$op'","delay_ms":100}'
done
acks_so_far() { cat "$W"/journal* | grep -c '^ack'; }
acked() { [ "$(acks_so_far)" -gt "$before" ]; }
acks=0 n=0 replays=0
while [ $n -lt "$ROUNDS" ]; do
	n=$((n + 1))
	fresh_cache
	mount_tarn rw,commit=writeback,part-size=5M
	pid=$(mount_pid)
	for w in $WRITERS; do
		mkdir -p "$MNT/$w"
	done
	check_all "$MNT" "after the kill"
	# In every fourth round by what the store has, too.
	if [ $((n % 4)) = 0 ]; then
		wait_for 30 none_waits
		CACHE_DIR=$W/cache2 mount_tarn -n other ro
		check_all "$W/other" "in the store"
		umount_tarn other
	fi
	before=$(acks_so_far)
	for w in $WRITERS; do
		python3 "$HELPERS/versions.py" write "$MNT/$w" "$W/journal$w" \
			"$SEED.$n.$w" >"$W/acks$w" 8>&- 9>&- &
	done
	# Some time after the first that is acknowledged.
	wait_for 20 acked
	sleep "$(awk -v s="$SEED$n" 'BEGIN { srand(s); print 0.5 * rand() }')"
	kill -9 "$pid"
	wait_for 20 no_process "$pid"
	for w in $WRITERS; do
		wait_for 20 test -s "$W/acks$w"
		acks=$((acks + $(cat "$W/acks$w")))
		rm "$W/acks$w"
	done
	replays=$((replays + $(waiting | wc -l)))
done
expect_ge "$acks" "$ROUNDS" "versions that were acknowledged"
expect_ge "$replays" $((ROUNDS / 2)) "files that waited when the daemon was killed"
fresh_cache
mount_tarn rw
check_all "$MNT" "at last"
wait_for 30 none_waits
no_uploads() { [ "$(sim uploads)" = 0 ]; }
wait_for 20 no_uploads
umount_tarn
fresh_cache
mount_tarn
check_all "$MNT" "in the store, at last"
umount_tarn
echo "$acks versions and $replays that waited in $ROUNDS rounds"
