# SPDX-License-Identifier: Apache-2.0
# A cache-dir or staging-dir at or below the mount point, also by a symlink,
# is refused by one sentence that names both and the fix, and is not made.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
mkdir "$MNT/real" "$W/mnt.beside"
chmod 700 "$MNT/real" "$W/mnt.beside"
ln -s "$MNT" "$W/to-mnt"
ln -s "$MNT/real" "$W/to-real"
refused() { # OPTION PATH [OPTIONS]
	rc=0
	"$TARN" mount "$SOURCE" "${DIR:-$MNT}" \
		-o "$1=$2,log=stderr,$STORE_OPTS${3:+,$3}" >"$W/out" 2>"$W/err" 9>&- ||
		rc=$?
	expect_eq $rc 1 "exit of $1=$2: $(cat "$W/err")"
	grep -qF "$1=$2 is at or below the mount point $MNT," "$W/err" ||
		fail "$(cat "$W/err")"
	grep -qF "name a directory elsewhere with $1=" "$W/err"
	expect_eq "$(wc -l <"$W/err")" 1 "lines"
	expect_eq "$(ls "$MNT")" real "made below the mount point"
	expect_eq "$(mounts_here)" ""
}
for d in "$MNT" "$MNT/" "$MNT/new/one" "$MNT/../mnt/new" "$W/to-mnt/new" \
	"$W/to-real" "$W/to-real/new"; do
	refused staging-dir "$d" "cache-dir=$CACHE"
	refused cache-dir "$d"
done
DIR=$W/to-mnt refused staging-dir "$MNT/new" "cache-dir=$CACHE,rw"
rc=0
"$TARN" mount "$SOURCE" "$MNT" -o "cache-dir=$CACHE:$MNT/two,log=stderr,$STORE_OPTS" \
	2>"$W/err" 9>&- || rc=$?
expect_eq $rc 1
grep -qF "cache-dir=$MNT/two is at" "$W/err" || fail "$(cat "$W/err")"

# Beside it, or when it is not used, it may be called what it will.
rmdir "$MNT/real"
CACHE_DIR=$W/mnt.beside mount_tarn
umount_tarn
STAGING_DIR=$MNT/new mount_tarn ro
umount_tarn
CACHE_DIR=$MNT/new mount_tarn cache-size=0
umount_tarn
