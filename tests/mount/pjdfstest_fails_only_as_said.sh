# SPDX-License-Identifier: Apache-2.0
# S21 to S24, S27: of pjdfstest's cases just those of tests/data/pjdfstest-fails
# fail, each for its reason there.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
need_root "other users"
need_command pjdfstest
expect_eq "$(pjdfstest --version)" "pjdfstest 0.2.2" "the version of the list"
start_store
chmod 755 "$W" # the other users' way to the mount
mount_tarn rw
# The store's times have seconds.
{
	echo '[features]
posix_fallocate = {}
utime_now = {}
utimensat = {}
[dummy_auth]
entries = [["nobody", "nogroup"], ["daemon", "daemon"]]
[settings]
naptime = 1.1
expected_failures = ['
	sed -n '/^#/d; s/^\([^ ]*\) S[0-9].*/"\1",/p' "$ROOT/tests/data/pjdfstest-fails"
	echo ']'
} >"$W/pjd.toml"
timeout 140 pjdfstest -c "$W/pjd.toml" -p "$MNT" >"$W/pjd.out" 2>&1 || {
	grep -E -A3 'FAILED|UNEXPECTEDLY' "$W/pjd.out" || tail -n 20 "$W/pjd.out"
	fail "other cases fail than tests/data/pjdfstest-fails says"
}
tail -n 1 "$W/pjd.out"
umount_tarn
