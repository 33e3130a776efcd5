# SPDX-License-Identifier: Apache-2.0
# B10: the cache directory is deleted, moved away, or replaced while mounted:
# that is noticed, reads go on from what is open or from the store, nothing is
# written elsewhere, and the directory is made and used again.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
for n in 1 2 3 4 5 6; do
	sim_put f$n "size=2000000&seed=$n" >"$W/o"
done
mount_tarn passthrough=off
disk() { mount_stat "$MNT" "m['ssd'][0]['$1']"; }
gets() { sim "count?op=GET&key=$1"; }
expect_eq "$(sha "$MNT/f1")" "$(sim_sha f1)"
expect_eq "$(disk state)" ok "state"
exec 3<"$MNT/f1"
rm -rf "$CACHE"
expect_eq "$(sha /dev/fd/3)" "$(sim_sha f1)" "an open file"
exec 3<&-
expect_eq "$(sha "$MNT/f2")" "$(sim_sha f2)" "after rm -rf"
# What comes now is kept again.
kept() { # KEY: it is read without a GET
	drop_caches
	cat "$MNT/$1" >"$W/o"
	drop_caches
	before=$(gets "$1")
	expect_eq "$(sha "$MNT/$1")" "$(sim_sha "$1")" "$1"
	[ "$(gets "$1")" = "$before" ]
}
wait_for 40 kept f3
grep -q 'warn .*the directory is gone' "$W/mnt.log" || fail "not noticed"
drop_caches
expect_eq "$(sha "$MNT/f1")" "$(sim_sha f1)" "after rm -rf"
expect_eq "$(stat -c %a "$CACHE") $(disk state)" "700 ok" "made again"
expect_ge "$(cached_files +1000k | wc -l)" 1 "files in the new directory"

# It is moved, and a symlink takes its place: that is not used.
mkdir "$W/elsewhere"
mv "$CACHE" "$W/moved"
ln -s "$W/elsewhere" "$CACHE"
expect_eq "$(sha "$MNT/f4")" "$(sim_sha f4)" "after mv"
off() { [ "$(disk state)" = off ]; }
wait_for 40 off
grep -q 'warn .*another directory is in its place' "$W/mnt.log" ||
	fail "the log does not say it"
before=$(find "$W/moved" -type f | wc -l)
drop_caches
for n in 1 2 3 4 5 6; do
	expect_eq "$(sha "$MNT/f$n")" "$(sim_sha f$n)" "f$n, a symlink"
done
expect_eq "$(find "$W/elsewhere" -mindepth 1 | wc -l)" 0 "files behind it"
expect_eq "$(find "$W/moved" -type f | wc -l)" "$before" "files where it was"
rm "$CACHE"
well() { [ "$(disk state)" = ok ]; }
wait_for 40 well
wait_for 40 kept f6
umount_tarn
