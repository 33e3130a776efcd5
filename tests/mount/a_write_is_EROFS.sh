# SPDX-License-Identifier: Apache-2.0
# A read-only mount: every way of writing is EROFS and reaches no store.
# stores: file objsim
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
mkdir -p "$W/src/d"
echo one >"$W/src/d/f"
store_put_tree "$W/src"
mount_tarn ro
ls -R "$MNT" >"$W/before"
f=$MNT/d/f
for c in "touch $MNT/new" "mkdir $MNT/dir" "rm $f" "mv $f $MNT/x" \
	"truncate -s 0 $f" "ln $f $MNT/l" "ln -s a $MNT/l" "rmdir $MNT/d" \
	"chmod 600 $f" "chown 12:12 $f" "touch $f" "mkfifo $MNT/p" \
	"dd if=/dev/zero of=$f count=1" "cp /dev/null $f" \
	"setfattr -n user.x -v y $f" "tee -a $f"; do
	case $c in
	setfattr*) command -v setfattr >/dev/null || continue ;;
	esac
	# shellcheck disable=SC2086 # words
	expect_errno EROFS $c </dev/null
done
ls -R "$MNT" | cmp - "$W/before"
expect_eq "$(cat "$f")" one
case $STORE_KIND in
objsim)
	expect_eq "$(sim 'count?op=DELETE')" 0
	expect_eq "$(sim 'count?op=PUT')" 1 "PUTs, but for the test's own"
	;;
esac
umount_tarn
