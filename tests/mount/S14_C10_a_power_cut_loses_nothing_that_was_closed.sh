# SPDX-License-Identifier: Apache-2.0
# S14, C10: with commit=writeback the machine loses its power while programs
# write and the store takes little: what the staging's disk was not made to keep
# is gone. Every file is the version whose close was told last, or one that was
# on its way, to the next mount and then in the store.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
small_disk 600
CACHE_DIR=$CACHE
start_store
ROUNDS=${ROUNDS:-6} SEED=${SEED:-1}
echo "SEED=$SEED"
mkdir -m 700 "$W/disk/staging" "$W/staging"
mount --bind "$W/disk/staging" "$W/staging"
cut_power() {
	# FS_IOC_SHUTDOWN with FS_SHUTDOWN_FLAGS_NOLOGFLUSH
	python3 -c 'import fcntl, os, struct, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
fcntl.ioctl(fd, 0x8004587d, struct.pack("I", 2))' "$W/disk"
	! touch "$W/disk/alive" 2>"$W/o" || fail "the disk lives"
}
disk_again() { # OPTIONS
	umount "$W/staging"
	umount "$W/disk"
	mount -o "loop,$1" "$disk_image" "$W/disk"
	mount --bind "$W/disk/staging" "$W/staging"
}
WRITERS='1 2'
# Of a record that was torn the disk may show a part of what another one said.
waiting() {
	for j in "$W"/staging/*/*.json; do
		if grep -qs '"acked": true' "$j" && [ "$(tail -n 1 "$j")" = '}' ]; then
			echo "$j"
		fi
	done
}
none_waits() { [ -z "$(waiting)" ]; }
check_all() { # WHEN
	for w in $WRITERS; do
		python3 "$HELPERS/versions.py" check "$MNT/$w" "$W/journal$w" >"$W/o" ||
			fail "round $n of seed $SEED, $1"
	done
}
fresh_cache() {
	rm -rf "$CACHE"
	mkdir -m 700 "$CACHE"
}
acks_so_far() { cat "$W"/journal* | grep -c '^ack'; }
acked() { [ "$(acks_so_far)" -gt "$before" ]; }
acks=0 n=0 replays=0
while [ $n -lt "$ROUNDS" ]; do
	n=$((n + 1))
	fresh_cache
	mount_tarn rw,commit=writeback,part-size=5M,commit-timeout=2s
	pid=$(mount_pid)
	for w in $WRITERS; do
		mkdir -p "$MNT/$w"
	done
	check_all "after the cut"
	wait_for 30 none_waits
	for op in PUT COMPLETE; do
		sim_rule '{"name":"slow'$n$op'","op":"'$op'","delay_ms":400}'
	done
	before=$(acks_so_far)
	for w in $WRITERS; do
		python3 "$HELPERS/versions.py" write "$MNT/$w" "$W/journal$w" \
			"$SEED.$n.$w" >"$W/acks$w" 8>&- 9>&- &
	done
	wait_for 20 acked
	sleep "$(awk -v s="$SEED$n" 'BEGIN { srand(s); print 0.5 * rand() }')"
	# The daemon is not to get anything to the store that the disk lost.
	kill -STOP "$pid"
	cut_power
	kill -9 "$pid"
	wait_for 20 no_process "$pid"
	# What it had sent is in the store, not on its way there any more.
	sleep 0.6
	for w in $WRITERS; do
		wait_for 20 test -s "$W/acks$w"
		acks=$((acks + $(cat "$W/acks$w")))
		rm "$W/acks$w"
	done
	sim clear ''
	case $((n % 2)) in
	0) disk_again nodelalloc,data=writeback ;;
	*) disk_again data=ordered ;;
	esac
	replays=$((replays + $(waiting | wc -l)))
done
expect_ge "$acks" "$ROUNDS" "versions that were acknowledged"
expect_ge "$replays" "$ROUNDS" "files that waited when the power went"
fresh_cache
mount_tarn rw
check_all "at last"
wait_for 30 none_waits
no_uploads() { [ "$(sim uploads)" = 0 ]; }
wait_for 20 no_uploads
umount_tarn
fresh_cache
mount_tarn
check_all "in the store, at last"
umount_tarn
echo "$acks versions and $replays that waited in $ROUNDS rounds"
