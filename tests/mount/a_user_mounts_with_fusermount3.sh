# SPDX-License-Identifier: Apache-2.0
# Whoever is not root mounts, reads, writes, asks, loads and unmounts by
# fusermount3; what is mounted belongs to the mounter, and there is no
# passthrough. Who has no HOME to keep written files in reads.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
need_root "another user"
need_command fusermount3 setpriv
# A device for all, in a mount namespace of our own.
if [ -z "${IN_OWN_MOUNTS-}" ]; then
	unshare --mount true 2>/dev/null || skip "no mount namespaces"
	trap - EXIT
	IN_OWN_MOUNTS=1 TEST_DIR=$W exec unshare --mount sh "$0"
fi
mknod -m 666 "$W/fuse" c 10 229 || skip "no device nodes"
mount --bind "$W/fuse" /dev/fuse
at_exit 'umount /dev/fuse'
mkdir -p "$W/u" "$W/u/store/d" "$W/u/mnt" "$W/u/run" "$W/u/home"
make_file "$W/u/store/d/f" 300000
cp "$TARN" "$W/u/tarn"
chmod 755 "$W" "$W/u/tarn"
chmod 700 "$W/u/run"
chown -R 65534:65534 "$W/u"
user() {
	setpriv --reuid 65534 --regid 65534 --clear-groups env \
		-u TARN_STAGING_DIR -u XDG_STATE_HOME HOME="$W/u/home" XDG_RUNTIME_DIR="${RUN-$W/u/run}" \
		XDG_CACHE_HOME="$W/u/home/.cache" \
		XDG_CONFIG_HOME="$W/u/home/.config" "$@"
}
tarn() {
	user "$W/u/tarn" "$@"
}
cycle() {
	tarn mount "file://$W/u/store" "$W/u/mnt" -o "log=$W/u/log" \
		>"$W/out" 2>&1 || fail "$(cat "$W/out" "$W/u/log")"
	grep -q "passthrough *off" "$W/out" || fail "$(cat "$W/out")"
	user cmp "$W/u/store/d/f" "$W/u/mnt/d/f"
	expect_eq "$(user stat -c %u:%g "$W/u/mnt/d/f")" 65534:65534
	user cp "$W/u/mnt/d/f" "$W/u/mnt/d/copy"
	cmp "$W/u/store/d/f" "$W/u/store/d/copy"
	expect_eq "$(stat -c %u:%a "$W/u/home/.local/state/tarn")" 65534:700
	tarn load --verify "$W/u/mnt" >"$W/out" || fail "load"
	tarn status "$W/u/mnt" >"$W/out"
	grep -q "file://$W/u/store on $W/u/mnt" "$W/out"
	# Another user's mount is not told of, root's status included.
	"$TARN" status >"$W/out"
	if grep -q "$W/u/mnt" "$W/out"; then fail "seen by root"; fi
	tarn umount "$W/u/mnt"
	expect_eq "$(mounts_here)" ""
}
cycle
user mkdir -m 700 "$W/u/cache"
user env -u HOME "$W/u/tarn" mount "file://$W/u/store" "$W/u/mnt" \
	-o "cache-dir=$W/u/cache,log=$W/u/log" >"$W/out" 2>&1 || fail "$(cat "$W/out")"
grep -q 'read only, as .*there is no HOME.*staging-dir=' "$W/out" ||
	fail "$(cat "$W/out")"
user cmp "$W/u/store/d/f" "$W/u/mnt/d/f"
tarn umount "$W/u/mnt"
rc=0
user env -u HOME "$W/u/tarn" mount "file://$W/u/store" "$W/u/mnt" \
	-o "rw,cache-dir=$W/u/cache,log=$W/u/log" >"$W/out" 2>&1 || rc=$?
expect_eq $rc 1
grep -q 'there is no HOME.*staging-dir=' "$W/out" || fail "$(cat "$W/out")"
# A directory of another, or open to others, is no runtime directory.
RUN=$W/u/home
mkdir "$W/u/home/tarn"
rc=0
tarn mount "file://$W/u/store" "$W/u/mnt" >"$W/out" 2>&1 || rc=$?
expect_eq $rc 1
grep -q "must be yours" "$W/out" || fail "$(cat "$W/out")"
expect_eq "$(mounts_here)" ""
