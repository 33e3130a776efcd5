# SPDX-License-Identifier: Apache-2.0
# A daemon that is there and answers nothing (stopped, here): the commands say
# whose it is and go on with the others, and none of them waits for the mount.
# stores: file
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
need_root "a directory of control sockets of our own"
# The commands of other tests are not to wait for it.
if [ -z "${IN_OWN_MOUNTS-}" ]; then
	unshare --mount true 2>/dev/null || skip "no mount namespaces"
	trap - EXIT
	IN_OWN_MOUNTS=1 TEST_DIR=$W exec unshare --mount sh "$0"
fi
mkdir -p /run/tarn
mount -t tmpfs -o mode=0700 none /run/tarn
at_exit 'umount /run/tarn'
start_store
make_file "$W/f" 1000 1
store_put f "$W/f"
mount_tarn
mount_tarn -n other
pid=$(mount_pid)
kill -STOP "$pid"
at_exit "kill -CONT $pid"
says="process $pid .*does not answer"
timeout 30 "$TARN" status >"$W/out" 2>"$W/err" || fail "status: $?"
grep -q "$W/other$" "$W/out" || fail "$(cat "$W/out")"
grep -q "$says" "$W/err" || fail "$(cat "$W/out" "$W/err")"
for args in "status $MNT" "status $MNT/f" "load $MNT/f" "ring $MNT/f" "invalidate $MNT/f"; do
	rc=0
	# shellcheck disable=SC2086 # words
	timeout 30 "$TARN" $args >"$W/out" 2>"$W/err" || rc=$?
	expect_eq $rc 1 "tarn $args"
	grep -q "$says" "$W/err" || fail "tarn $args: $(cat "$W/err")"
done
timeout 30 "$TARN" load "$W/other/f" >"$W/out" 2>&1 || fail "$(cat "$W/out")"
kill -CONT "$pid"
"$TARN" status "$MNT" >"$W/out"
umount_tarn other
umount_tarn
