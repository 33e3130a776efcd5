# SPDX-License-Identifier: Apache-2.0
# umount refuses a directory in use, waits for the daemon, leaves no socket;
# --force detaches and lets who has files open go on.
# stores: file objsim
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
mkdir "$W/src"
make_file "$W/src/f" 300000
store_put_tree "$W/src"
mount_tarn
pid=$(mount_pid)
exec 8<"$MNT/f"
rc=0
"$TARN" umount "$MNT" 2>"$W/err" || rc=$?
expect_eq $rc 1
grep -q -- "in use.*--force" "$W/err" || fail "$(cat "$W/err")"
kill -0 "$pid" || fail "the daemon ended"
"$TARN" umount "$MNT" --force
expect_eq "$(mounts_here)" ""
cmp "$W/src/f" - <&8
exec 8<&-
wait_for 20 no_process "$pid"
mount_tarn
pid=$(mount_pid)
"$TARN" umount "$MNT"
no_process "$pid" || fail "umount returned before the daemon ended"
"$TARN" status >"$W/out"
if grep -q "$MNT" "$W/out"; then fail "status shows what is gone"; fi

# A dead mount: status passes over it, umount takes it down, and a mount on
# it does so by itself.
mount_tarn
pid=$(mount_pid)
kill -KILL "$pid"
wait_for 20 no_process "$pid"
"$TARN" status >"$W/out"
if grep -q "$MNT" "$W/out"; then fail "status shows what is dead"; fi
"$TARN" umount "$MNT"
expect_eq "$(mounts_here)" ""
mount_tarn
pid=$(mount_pid)
kill -KILL "$pid"
wait_for 20 no_process "$pid"
mount_tarn
cmp "$W/src/f" "$MNT/f"
"$TARN" umount "$MNT"
