# SPDX-License-Identifier: Apache-2.0
# Bad input of every kind: one sentence that names the thing, exit 1 or 2,
# nothing mounted, no file left behind, no secret shown.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put f 'size=10' >"$W/o"
echo plain >"$W/plain"
mkdir -p "$W/m" "$W/busy" "$W/files" "$W/world" "$W/real"
chmod 777 "$W/world"
ln -s "$W/real" "$W/link"
fails() { # EXIT WORD ARGUMENT...
	want=$1 word=$2
	shift 2
	find "$W" -path "$W/o" -o -path "$W/out" -o -print | sort >"$W/o"
	set +e
	"$TARN" "$@" >"$W/out" 2>&1
	rc=$?
	set -e
	expect_eq "$rc" "$want" "exit of $*"
	expect_eq "$(wc -l <"$W/out")" 1 "lines of '$(cat "$W/out")' for $*"
	grep -qF -- "$word" "$W/out" || fail "'$word' not in: $(cat "$W/out")"
	! grep -q tarnsecret "$W/out" || fail "a secret: $*"
	! mounts_here | grep -q "^$W/m$" || fail "left mounted: $*"
	find "$W" -path "$W/o" -o -path "$W/out" -o -print | sort >"$W/out"
	cmp "$W/o" "$W/out" >&2 || fail "left files: $(diff "$W/o" "$W/out")"
}
rmdir "$CACHE"
O="cache-dir=$CACHE,$STORE_OPTS"
fails 1 nobucket mount s3://nobucket "$W/m" -o "$O"
fails 1 absent mount s3://bucket "$W/absent" -o "$O"
fails 1 plain mount s3://bucket "$W/plain" -o "$O"
fails 1 nowhere mount "file://$W/nowhere" "$W/m" -o "$O"
fails 1 plain mount "file://$W/plain" "$W/m" -o "$O"
fails 2 memry mount s3://bucket "$W/m" -o "$O,memry=1G"
fails 2 memory mount s3://bucket "$W/m" -o "$O,memory=1"
fails 2 memory mount s3://bucket "$W/m" -o "$O,memory=lots"
fails 2 cache-size mount s3://bucket "$W/m" -o "$O,cache-size=150%"
fails 2 consistency mount s3://bucket "$W/m" -o "$O,consistency=maybe"
fails 2 endpoint mount s3://bucket "$W/m" -o "cache-dir=$CACHE,endpoint=ftp://x"
fails 2 mont mont s3://bucket "$W/m"
fails 1 "$W/m" umount "$W/m"
fails 1 "$W/m" status "$W/m"
for scheme in gs://b ftp://b bucket s3:// s3:///x ''; do
	set +e
	"$TARN" mount "$scheme" "$W/m" -o "$O" >"$W/out" 2>&1
	rc=$?
	set -e
	case $rc in 1 | 2) ;; *) fail "exit $rc for '$scheme'" ;; esac
	expect_eq "$(wc -l <"$W/out")" 1 "lines for '$scheme'"
done
# B12: a cache directory that others could write to.
fails 1 world mount s3://bucket "$W/m" -o "cache-dir=$W/world,$STORE_OPTS"
fails 1 link mount s3://bucket "$W/m" -o "cache-dir=$W/link,$STORE_OPTS"
fails 1 plain mount s3://bucket "$W/m" -o "cache-dir=$W/plain,$STORE_OPTS"
if [ "$(id -u)" = 0 ]; then
	mkdir -m 700 "$W/theirs"
	chown 65534:65534 "$W/theirs"
	fails 1 theirs mount s3://bucket "$W/m" -o "cache-dir=$W/theirs,$STORE_OPTS"
fi
# The mount point in use.
mkdir -m 700 "$CACHE"
mount_tarn -n busy
find "$W" -path "$W/o" -o -path "$W/out" -o -print | sort >"$W/o"
if "$TARN" mount "$SOURCE" "$W/busy" -o "$O" >"$W/out" 2>&1; then
	fail "mounted twice on one directory"
fi
expect_eq "$(wc -l <"$W/out")" 1 "lines for a mount point in use"
ls "$W/busy" >"$W/o"
umount_tarn busy
