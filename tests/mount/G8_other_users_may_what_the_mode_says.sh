# SPDX-License-Identifier: Apache-2.0
# G8: with allow-other two users meet the mode, the owner and the group that
# the options say, also for what is cached; the kernel checks them, always. A
# mount without allow-other is for nobody else.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
need_command setpriv fusermount3
open_dev_fuse
start_store
sim_put d/f 'size=300000&seed=1' >"$W/o"
right=$(sim_sha d/f)
chmod 755 "$W"
owner=65534 member=65533 stranger=65532

options_of() { # MOUNT-POINT: what the kernel knows of it
	awk -v m="$1" '$2 == m { print "," $4 "," }' /proc/self/mounts
}
may() { # USER PATH
	expect_eq "$(as_user "$1" cat "$2" 2>"$W/err" | sha256sum | cut -d' ' -f1)" \
		"$right" "user $1 reads $2: $(cat "$W/err")"
}
may_not() { # USER COMMAND...
	expect_errno EACCES as_user "$@"
}
mount_with() { # OPTIONS
	mount_tarn "$1"
	case $(options_of "$MNT") in
	*,default_permissions,*allow_other,*) ;;
	*) fail "mounted with $(options_of "$MNT")" ;;
	esac
	# By now the bytes are cached, by the kernel too.
	expect_eq "$(sha "$MNT/d/f")" "$right" "root reads"
}
# Of the group of the second user.
mount_with uid=$owner,gid=$member,file-mode=0640,dir-mode=0750
expect_eq "$(stat -c %a:%u:%g "$MNT/d/f" "$MNT/d" "$MNT" | tr '\n' ' ')" \
	"640:$owner:$member 750:$owner:$member 750:$owner:$member " "modes"
for cold in yes no; do
	may $owner "$MNT/d/f"
	may $member "$MNT/d/f"
	may_not $stranger cat "$MNT/d/f"
	may_not $stranger ls "$MNT"
	may_not $stranger stat "$MNT/d/f"
	[ $cold = no ] || drop_caches
done
umount_tarn

# All may look, the owner alone may read.
mount_with uid=$owner,gid=$member,file-mode=0400,dir-mode=0755
may $owner "$MNT/d/f"
as_user $stranger stat "$MNT/d/f" >"$W/o"
as_user $stranger ls "$MNT/d" >"$W/o"
may_not $member cat "$MNT/d/f"
may_not $stranger cat "$MNT/d/f"
may_not $stranger python3 -c 'import os, sys
os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT)' "$MNT/d/f"
umount_tarn

# One may pass a directory without the right to list it; and the reverse.
mount_with uid=$owner,gid=$member,file-mode=0444,dir-mode=0711
may $stranger "$MNT/d/f"
may_not $stranger ls "$MNT/d"
umount_tarn
mount_with uid=$owner,gid=$member,file-mode=0444,dir-mode=0744
expect_eq "$(as_user $stranger ls "$MNT" 2>"$W/o")" d "a listing"
may_not $stranger cat "$MNT/d/f"
umount_tarn

# Not for others at all: what a mode allows does not count.
mount_tarn allow-other=off,file-mode=0777,dir-mode=0777
case $(options_of "$MNT") in
*,allow_other,*) fail "mounted with $(options_of "$MNT")" ;;
*,default_permissions,*) ;;
*) fail "mounted with $(options_of "$MNT")" ;;
esac
expect_eq "$(sha "$MNT/d/f")" "$right" "root reads"
may_not $owner cat "$MNT/d/f"
umount_tarn

# The same of a user's own mount, by fusermount3.
[ -u "$(command -v fusermount3)" ] || exit 0
as_user $owner test -x "$TARN" || exit 0
echo user_allow_other >"$W/fuse.conf"
[ -e /etc/fuse.conf ] || exit 0
mount --bind "$W/fuse.conf" /etc/fuse.conf
mkdir -p "$W/u/mnt" "$W/u/cache" "$W/u/run"
chmod 700 "$W/u/cache" "$W/u/run"
chown -R $owner "$W/u"
user_mounts() { # OPTIONS
	as_user $owner env XDG_RUNTIME_DIR="$W/u/run" "$TARN" mount "$SOURCE" \
		"$W/u/mnt" -o "cache-dir=$W/u/cache,log=$W/u/log,$STORE_OPTS,$1" \
		>"$W/out" 2>&1 8>&- 9>&- || fail "mount: $(cat "$W/out")"
}
user_mounts allow-other,file-mode=0640,gid=$member
case $(options_of "$W/u/mnt") in
*,default_permissions,*allow_other,*) ;;
*) fail "mounted with $(options_of "$W/u/mnt")" ;;
esac
may $owner "$W/u/mnt/d/f"
may $member "$W/u/mnt/d/f"
may_not $stranger cat "$W/u/mnt/d/f"
as_user $owner fusermount3 -u "$W/u/mnt"
user_mounts allow-other=off,file-mode=0777
may $owner "$W/u/mnt/d/f"
may_not $stranger cat "$W/u/mnt/d/f"
expect_errno EACCES cat "$W/u/mnt/d/f" # root is another user too
as_user $owner fusermount3 -u "$W/u/mnt"
