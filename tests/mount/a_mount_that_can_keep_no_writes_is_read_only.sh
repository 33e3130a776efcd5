# SPDX-License-Identifier: Apache-2.0
# Where nothing that is written could be kept a mount says so and is read only,
# as mount(8) does with a disk that is write-protected; with rw it is refused,
# and leaves nothing. With ro it is not asked.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
small_disk 20
CACHE_DIR=$CACHE
start_store
sim_put f 'size=5000&seed=1' >"$W/o"

read_only_for() { # WORDS OF THE CAUSE
	sim forget ''
	mount_tarn
	head -n 1 "$W/mnt.out" | grep -q ', read only$' || fail "$(cat "$W/mnt.out")"
	grep -qE "note .*read only, as nothing can be written: .*$1" "$W/mnt.out" ||
		fail "no '$1' in: $(cat "$W/mnt.out")"
	grep -qE " warn .*read only, as nothing can be written: .*$1" "$W/mnt.log" ||
		fail "no '$1' in the log"
	grep -q " $MNT fuse.tarn ro," /proc/self/mounts
	expect_eq "$(sha "$MNT/f")" "$(sim_sha f)"
	expect_errno EROFS touch "$MNT/new"
	expect_eq "$(mount_stat "$MNT" "m['read_only']")" True
	"$TARN" status "$MNT" >"$W/o"
	grep -qE "read only .*$1" "$W/o" || fail "$(cat "$W/o")"
	expect_eq "$(sim 'count?op=PUT')" 0 PUTs
	umount_tarn
	rm "$W/mnt.log"
	rc=0
	"$TARN" mount "$SOURCE" "$MNT" -o "rw,cache-dir=$CACHE_DIR,staging-dir=$STAGING_DIR,log=$W/rw.log,$STORE_OPTS" \
		>"$W/out" 2>"$W/err" 9>&- || rc=$?
	expect_eq $rc 1 "exit with rw"
	grep -qE "$1.*; a read-only mount \(ro\) does without" "$W/err" || fail "$(cat "$W/err")"
	mount_tarn ro
	! grep -q note "$W/mnt.out" || fail "$(cat "$W/mnt.out")"
	umount_tarn
}

# Its disk is read-only.
STAGING_DIR=$W/disk/staging
mount -o remount,ro "$W/disk"
read_only_for "$STAGING_DIR: Read-only file system"
mount -o remount,rw "$W/disk"

# Others may write to it; it is no directory; it is a symlink.
STAGING_DIR=$W/shared
mkdir -m 770 "$STAGING_DIR"
read_only_for 'may be written by others: run chmod 700'
STAGING_DIR=$W/file
: >"$STAGING_DIR"
read_only_for 'is not a directory'
STAGING_DIR=$W/link
mkdir -m 700 "$W/real"
ln -s "$W/real" "$STAGING_DIR"
read_only_for 'is a symlink'
