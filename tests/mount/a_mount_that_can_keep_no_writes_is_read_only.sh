# SPDX-License-Identifier: Apache-2.0
# Where nothing that is written could be kept a mount says so and is read only,
# as mount(8) does with a disk that is write-protected; with rw, or a command that
# says where writes are kept, it is refused, and leaves nothing. With ro it is
# not asked. A lack that passes does not make one read only for good.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
small_disk 20
CACHE_DIR=$CACHE
start_store
sim_put f 'size=5000&seed=1' >"$W/o"

mount_with() { # OPTIONS: and no others of writes, but those of the environment
	"$TARN" mount "$SOURCE" "$MNT" -o "$1,cache-dir=$CACHE_DIR,log=$W/mnt.log,$STORE_OPTS" \
		>"$W/mnt.out" 2>&1 8>&- 9>&-
}

refused_for() { # WORDS OF THE CAUSE, OPTIONS
	rc=0
	mount_with "$2" || rc=$?
	expect_eq $rc 1 "exit with $2"
	grep -qE "$1.*; a read-only mount \(ro\) does without" "$W/mnt.out" || fail "$(cat "$W/mnt.out")"
}

read_only_for() { # WORDS OF THE CAUSE
	sim forget ''
	mkdir -p "$MNT"
	export TARN_STAGING_DIR="$STAGING_DIR" TARN_COMMIT=writeback
	mount_with log-level=debug || fail "mount: $(cat "$W/mnt.out")"
	unset TARN_STAGING_DIR TARN_COMMIT
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
	# It keeps nobody from what others have.
	"$TARN" recover >"$W/o" 2>&1 || fail "recover: $(cat "$W/o")"
	umount_tarn
	rm "$W/mnt.log"
	refused_for "$1" "rw,staging-dir=$STAGING_DIR"
	refused_for "$1" "commit=writeback,staging-dir=$STAGING_DIR"
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

# Its disk takes no file more.
CACHE_DIR=$W/cache STAGING_DIR=$W/disk/full
mkdir "$W/disk/fill"
(cd "$W/disk/fill" && seq 100000 | xargs touch) 2>"$W/o" || true
export TARN_STAGING_DIR="$STAGING_DIR"
refused_for 'No space left on device' log-level=debug
