# SPDX-License-Identifier: Apache-2.0
# B12: world-writable, another's, a symlink: refused with the reason.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
mkdir -p "$W/store" "$W/real"
SOURCE=file://$W/store
refused() { # DIR
	if "$TARN" mount "$SOURCE" "$MNT" -o "cache-dir=$1" >"$W/out" 2>&1; then
		fail "took $1"
	fi
	grep -qF "$1" "$W/out" || fail "does not name $1: $(cat "$W/out")"
	! mounts_here | grep -q . || fail "left mounted"
	expect_eq "$(find "$1/" -mindepth 1 | wc -l)" 0 "files in $1"
}
chmod 700 "$W/real"
mkdir -m 777 "$W/world"
refused "$W/world"
mkdir -m 770 "$W/group"
refused "$W/group"
ln -s "$W/real" "$W/link"
refused "$W/link"
if [ "$(id -u)" = 0 ]; then
	mkdir -m 700 "$W/theirs"
	chown 65534 "$W/theirs"
	refused "$W/theirs"
fi
