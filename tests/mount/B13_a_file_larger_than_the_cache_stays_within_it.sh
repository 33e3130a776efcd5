# SPDX-License-Identifier: Apache-2.0
# B13: a file several times as large as the cache is read, and stays open: what
# the disk really holds, unlinked files included, comes back to the limit, and
# others find room.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
small_disk 300
start_store
sim_put giant 'size=120000000&seed=9' >"$W/o"
sim_put other 'size=6000000&seed=1' >"$W/o"
giant=$(sim_sha giant) other=$(sim_sha other)
mount_tarn cache-size=16M,memory=64M
used() { df --output=used -k "$W/disk" | tail -n 1; }
before=$(used)
within() { [ $(($(used) - before)) -le $((16 * 1024 + 1024)) ]; }
exec 4<"$MNT/giant"
expect_eq "$(sha /dev/fd/4)" "$giant" "first read"
expect_ge "$(mount_stat "$MNT" "m['counters']['ssd_unadmitted']")" 1 \
	"pages that the cache refused"
wait_for 20 within
exec 5<"$MNT/giant"
expect_eq "$(sha /dev/fd/5)" "$giant" "second read"
wait_for 20 within
kept() {
	expect_eq "$(sha "$MNT/other")" "$other" "another file"
	sim forget ''
	drop_caches
	expect_eq "$(sha "$MNT/other")" "$other" "another file"
	[ "$(sim 'count?op=GET')" = 0 ]
}
wait_for 20 kept
exec 4<&- 5<&-
umount_tarn
