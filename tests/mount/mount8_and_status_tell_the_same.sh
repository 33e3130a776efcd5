# SPDX-License-Identifier: Apache-2.0
# mount(8) mounts by mount.tarn, with the words of fstab; status --json tells
# each option and where it came from; the output of mount says what was
# decided; status works on mounts by any path below them.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
need_root "mount(8)"
STORE_KIND=file
start_store
mkdir -p "$W/store/d"
make_file "$W/store/d/f" 5000
# mount(8) looks for helpers in the system's directories only: one is laid
# over them, in a mount namespace of our own.
if [ -z "${IN_OWN_MOUNTS-}" ]; then
	unshare --mount true 2>/dev/null || skip "no mount namespaces"
	trap - EXIT
	IN_OWN_MOUNTS=1 TEST_DIR=$W exec unshare --mount sh "$0"
fi
sbin=$(readlink -f /sbin)
mkdir "$W/over"
mount -t tmpfs none "$W/over"
mkdir "$W/over/up" "$W/over/work"
mount -t overlay none -o "lowerdir=$sbin,upperdir=$W/over/up,workdir=$W/over/work" \
	"$sbin" || skip "no overlay file system"
at_exit "umount $sbin"
cp "$TARN" "$sbin/mount.tarn"
printf '{ "negative-ttl": "7s", "memory": "80M" }\n' >"$W/config/config.json"
mkdir -p "$W/config/tarn"
mv "$W/config/config.json" "$W/config/tarn/config.json"
export TARN_SMALL_FILE=64K TARN_MEMORY=96M
mount -t tarn "file://$W/store/" "$MNT" -o "ro,_netdev,nofail,x-systemd.automount,noexec,cache-dir=$CACHE,log=$W/mnt.log,uid=12,file-mode=0640" >"$W/out"
grep -q "file://$W/store is mounted on $MNT" "$W/out"
grep -q "consistency *ttl:60s" "$W/out"
grep -q "memory *96 MiB" "$W/out"
grep -q "cache *$CACHE" "$W/out"
grep -q "passthrough *o" "$W/out"
grep " $MNT fuse.tarn ro," /proc/self/mounts | grep -q noexec
expect_eq "$(stat -c '%u %a' "$MNT/d/f")" "12 640"
"$TARN" status "$MNT/d/f" --json >"$W/status.json"
opt() {
	json "$W/status.json" "'%(value)s %(from)s' % j['mounts'][0]['options']['$1']"
}
expect_eq "$(opt uid)" "12 command line"
expect_eq "$(opt memory)" "96M environment"
expect_eq "$(opt negative-ttl)" "7s $W/config/tarn/config.json:1"
expect_eq "$(opt consistency)" "ttl:60s default"
(cd "$MNT/d" && "$TARN" status . >"$W/human")
grep -q "file://$W/store on $MNT" "$W/human" || fail "$(cat "$W/human")"
umount_tarn
# A line of fstab, and umount(8).
echo "file://$W/store $MNT tarn ro,noauto,user,nofail,cache-dir=$CACHE 0 0" \
	>"$W/fstab"
mount -T "$W/fstab" "$MNT" >"$W/out"
grep " $MNT fuse.tarn ro," /proc/self/mounts | grep -q nosuid
cmp "$W/store/d/f" "$MNT/d/f"
pid=$(mount_pid)
umount "$MNT"
wait_for 20 no_process "$pid"
# -f of mount(8): only look.
mount -t tarn -f "file://$W/store" "$MNT" -o "ro,cache-dir=$CACHE"
expect_eq "$(mounts_here)" "$W/over"
# As with tarn mount it can be written unless it is told ro; the rw that
# mount(8) then adds is nobody's word against the configuration file.
mount -t tarn "file://$W/store" "$MNT" -o "cache-dir=$CACHE,staging-dir=$W/staging"
grep -q " $MNT fuse.tarn rw," /proc/self/mounts
echo written >"$MNT/new"
expect_eq "$(cat "$W/store/new")" written
pid=$(mount_pid)
umount "$MNT"
wait_for 20 no_process "$pid"
mount_r() { # RO-OR-RW ARGUMENTS...
	want=$1
	shift
	mount -t tarn "file://$W/store" "$MNT" "$@" >"$W/out"
	grep -q " $MNT fuse.tarn $want," /proc/self/mounts || fail "$*: not $want"
	pid=$(mount_pid)
	umount "$MNT"
	wait_for 20 no_process "$pid"
}
mount_r ro -r -o "cache-dir=$CACHE"
mount_r rw -w -o "cache-dir=$CACHE"
# Where none can be made that the host was told of, it is read only; one that
# this mount was told of, or that is asked to be written, is refused.
export TARN_STAGING_DIR=/proc/none
mount_r ro -o "cache-dir=$CACHE"
for how in "TARN_RO=off TARN_STAGING_DIR=/proc/none" \
	"TARN_STAGING_DIR=$W/staging STAGING=,staging-dir=/proc/none"; do
	# shellcheck disable=SC2086,SC2016 # words, and for the shell that it runs
	! env $how sh -c 'mount -t tarn -o "cache-dir=$3$STAGING" "$1" "$2"' \
		sh "file://$W/store" "$MNT" "$CACHE" >"$W/out" 2>&1 ||
		fail "$how: mounted without a staging-dir"
	grep -q 'read-only mount (ro) does without' "$W/out" ||
		fail "$how: $(cat "$W/out")"
done
export TARN_STAGING_DIR="$W/staging"
printf '{ "ro": true }\n' >"$W/config/tarn/config.json"
mount_r ro -o "cache-dir=$CACHE"
# The helper told -w itself.
"$sbin/mount.tarn" "file://$W/store" "$MNT" -w -o "rw,cache-dir=$CACHE" >"$W/out"
grep -q " $MNT fuse.tarn rw," /proc/self/mounts
"$TARN" umount "$MNT"
