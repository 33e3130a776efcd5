# SPDX-License-Identifier: Apache-2.0
# B4: at the mount the cache's disk is read-only, or so full that the directory
# cannot be made: it is said in one line with the fix, the mount works without
# it, and uses it as soon as it can. Who owns it is judged all the same.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
# Few inodes are soon used up.
DISK_OPTIONS="-N 64"
small_disk 100
start_store
sim_put f 'size=900000&seed=1' >"$W/o"
sim_put g 'size=3000000&seed=2' >"$W/o"
state() { mount_stat "$MNT" "m['ssd'][0]['state']"; }
is_ok() { [ "$(state)" = ok ]; }
mounts_without() { # WORDS FIX
	rm -f "$W/mnt.log"
	mount_tarn
	grep -F "cache        off: cannot" "$W/mnt.out" | grep -F "$1" |
		grep -F "$CACHE_DIR" | grep -qF "$2" || fail "$(cat "$W/mnt.out")"
	expect_eq "$(grep -c "warn .*$CACHE_DIR" "$W/mnt.log")" 1 "warnings"
	expect_eq "$(state)" off
	for k in f g; do
		expect_eq "$(sha "$MNT/$k")" "$(sim_sha $k)" "$k, $1"
	done
}
used_again() {
	wait_for 30 is_ok
	"$TARN" load "$MNT/f" "$MNT/g" >"$W/load" 2>&1 || fail "$(cat "$W/load")"
	drop_caches
	sim forget ''
	for k in f g; do
		expect_eq "$(sha "$MNT/$k")" "$(sim_sha $k)" "$k, cached"
	done
	expect_eq "$(sim 'count?op=GET')" 0 "GETs"
	umount_tarn
}
rmdir "$CACHE_DIR"
i=0
while touch "$W/disk/fill$i" 2>"$W/touch"; do
	i=$((i + 1))
done
grep -q 'No space left' "$W/touch" || fail "the disk was not full"
mounts_without "No space left" "make room on its disk"
rm "$W"/disk/fill*
used_again
mount -o remount,ro "$W/disk"
mounts_without "Read-only file system" "remount its disk read-write"
mount -o remount,rw "$W/disk"
used_again
chmod 777 "$CACHE_DIR"
mount -o remount,ro "$W/disk"
if "$TARN" mount "$SOURCE" "$MNT" -o "cache-dir=$CACHE_DIR,$STORE_OPTS" >"$W/out" 2>&1; then
	fail "took a directory that all may write to"
fi
grep -q "may be written by others" "$W/out" || fail "$(cat "$W/out")"
