# SPDX-License-Identifier: Apache-2.0
# B6: files that the kernel reads by itself rot on the disk while memory still
# has them right. The scrub sees it, past that memory, and no open gets such a
# file again, also while another has it open.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
need_command filefrag
FAULTS=1
small_disk 200
start_store
sim_put large 'size=9000000&seed=1' >"$W/o"
sim_put small 'size=900000&seed=2' >"$W/o"
sim_put good 'size=900000&seed=3' >"$W/o"
names="large small good"
mount_tarn
opens() { mount_stat "$MNT" "m['reads']['kernel_passthrough_opens']"; }
read_all() { # WHEN
	for k in $names; do
		expect_eq "$(sha "$MNT/$k")" "$(sim_sha "$k")" "$k, $1"
	done
}
"$TARN" load "$MNT/large" "$MNT/small" "$MNT/good" >"$W/o"
n=$(opens)
read_all "before"
[ "$(opens)" -gt "$n" ] || skip "no passthrough"
sync
scrub_now
expect_eq "$(mount_stat "$MNT" "m['ssd'][0]['scrub']['bad_pages']")" 0 \
	"bad pages, all well"
expect_ge "$(mount_stat "$MNT" "m['ssd'][0]['scrub']['bytes']")" 10800000 \
	"bytes read back"
exec 3<"$MNT/large" 4<"$MNT/small"
for f in $(cached_files +500k); do
	cmp -s "$f" "$MNT/good" || echo "read $(disk_range "$f") flip"
done >"$W/new"
expect_eq "$(wc -l <"$W/new")" 2 "files to rot"
cp "$W/new" "$W/faults"
# Nobody reads them here: memory has them, unless it had to make room.
scrub_now
: >"$W/faults"
expect_ge "$(stat -c %s "$W/faults.fired")" 2 "faults of the disk"
expect_ge "$(mount_stat "$MNT" "m['ssd'][0]['scrub']['bad_pages']")" 2 \
	"bad pages that the scrub found"
expect_ge "$(mount_stat "$MNT" "m['ssd'][0]['bad_pages']")" 2 "bad pages"
grep -q "warn .*scrub: v1/.* is rotten" "$W/mnt.log" || fail "nothing was said"
"$TARN" status "$MNT" | grep -q "scrubbed .* bad pages found" ||
	fail "status tells nothing"

# Handed out anew is the good one alone; the others come from the store.
sim forget ''
n=$(opens)
sha "$MNT/good" >"$W/o"
expect_eq "$(opens)" $((n + 1)) "the good file is handed to the kernel"
dd if="$MNT/large" of="$W/o" bs=1 count=1 2>"$W/dd"
expect_eq "$(opens)" $((n + 1)) "the rotten one is not"
expect_eq "$(sim 'count?op=GET')" 1 "GETs of its first page"
read_all "after the scrub"
expect_ge "$(sim 'count?op=GET&key=large')" 1 "GETs of the large one"
expect_eq "$(sim 'count?op=GET&key=small')" 1 "GETs of the small one"
expect_eq "$(sim 'count?op=GET&key=good')" 0 "GETs of the good one"
# Who has it open still, by its descriptor: no error, and right.
expect_eq "$(sha /dev/fd/4)" "$(sim_sha small)" "by the descriptor"
exec 3<&- 4<&-
sync
drop_caches
sim forget ''
read_all "once more"
expect_eq "$(sim 'count?op=GET')" 0 "GETs, all is there again"
umount_tarn
