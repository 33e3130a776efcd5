# SPDX-License-Identifier: Apache-2.0
# A user who is not root mounts, reads and unmounts, without passthrough,
# which is said once.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
need_root "to become another user"
need_command setpriv fusermount3
[ -u "$(command -v fusermount3)" ] || skip "fusermount3 is not setuid"
open_dev_fuse
start_store
sim_put d/f 'size=900000&seed=1' >"$W/o"
sim_put d/g 'size=9000000&seed=2' >"$W/o"
chmod 755 "$W"
mkdir -p "$W/theirs/mnt" "$W/theirs/cache"
chmod 700 "$W/theirs/cache"
chown -R 65534:65534 "$W/theirs" "$XDG_RUNTIME_DIR" "$HOME"
as_nobody() {
	setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all "$@"
}
as_nobody test -x "$TARN" || skip "the user cannot reach $TARN"
as_nobody "$TARN" mount s3://bucket "$W/theirs/mnt" \
	-o "cache-dir=$W/theirs/cache,staging-dir=$W/theirs/staging,log=$W/theirs/log,$STORE_OPTS" \
	>"$W/out" 2>&1 9>&- || fail "mount: $(cat "$W/out")"
grep -qi passthrough "$W/out" || fail "does not say that there is no passthrough"
as_nobody sha256sum "$W/theirs/mnt/d/f" "$W/theirs/mnt/d/g" >"$W/sums"
expect_eq "$(awk '{ print $1 }' "$W/sums" | tr '\n' ' ')" \
	"$(sim_sha d/f) $(sim_sha d/g) "
gets=$(sim 'count?op=GET')
as_nobody sha256sum "$W/theirs/mnt/d/f" "$W/theirs/mnt/d/g" | cmp - "$W/sums"
expect_eq "$(sim 'count?op=GET')" "$gets" "GETs of a second read"
as_nobody "$TARN" umount "$W/theirs/mnt"
! mounts_here | grep -q . || fail "still mounted"
