# SPDX-License-Identifier: Apache-2.0
# C9, S10, S17: the daemon dies at each step of a commit. The store has the old
# object or the new one, whole; what was acknowledged it has; the next mount
# leaves no upload behind, and keeps what was not brought to the store.
# stores: objsim versitygw
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
make_file "$W/old" 300000 1
make_file "$W/small" 200000 2
make_file "$W/large" 20000000 3
old=$(sha "$W/old")

# What the store has, asked without the mount.
stored() { # KEY
	s3 get "$1" "$W/stored"
	sha "$W/stored"
}
no_uploads() { [ "$(s3 uploads)" = "" ]; }
recover() { "$TARN" recover --staging-dir "$W/staging" "$@"; }
recorded() { # N: files of which the staging has a record
	[ "$(find "$W/staging" -name '*.json' | wc -l)" = "$1" ]
}

die_at() { # POINT SOURCE MAYBE(old, new, either)
	store_put "$1" "$W/old"
	mount_to_die "$1:1" rw,part-size=5M
	if cp "$W/$2" "$MNT/$1" 2>"$W/err"; then
		fail "$1: close succeeded, and the mount died"
	fi
	has_died
	new=$(sha "$W/$2") has=$(stored "$1")
	case $3 in
	old) expect_eq "$has" "$old" "$1 in the store" ;;
	new) expect_eq "$has" "$new" "$1 in the store" ;;
	esac
	# A dead mount is cleared away by the next on the same directory.
	mount_tarn rw,part-size=5M
	wait_for 20 no_uploads
	expect_eq "$(sha "$MNT/$1")" "$has" "$1 on the next mount"
	expect_eq "$(stored "$1")" "$has" "$1 is still what it was"
	# Nobody was told that it would be there: it is not committed by itself.
	recover >"$W/o"
	for id in $(recover --json | python3 -c 'import json, sys
print(*[f["id"] for f in json.load(sys.stdin)["files"]])'); do
		recover "$id" --discard
	done
	wait_for 20 recorded 0
	cp "$W/$2" "$MNT/$1"
	expect_eq "$(stored "$1")" "$new" "$1 written again"
	umount_tarn
	expect_eq "$(find "$W/staging" -mindepth 2 -type f | wc -l)" 0 "files left after $1"
}

die_at staged-recorded large old
die_at commit-put small old
die_at upload-begun large old
die_at upload-recorded large old
die_at part-sent large old
die_at commit-complete large old
die_at commit-made small new
die_at commit-made large new
die_at commit-adopted small new
die_at commit-recorded small new
expect_eq "$kills" 10 "times it was killed"
