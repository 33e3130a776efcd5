# SPDX-License-Identifier: Apache-2.0
# B3 with two disks: one of them begins to fail every read. It is fenced, what
# it held is kept on the other, a daemon that serves files itself shows no
# error at any time, and no open gets a file of that disk. When the fault ends
# it is taken back, and what it holds is used again.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
need_command dumpe2fs
FAULTS=1
small_disk 200
# ext4 gives up for good what it could not read of its own tables.
tables=$(dumpe2fs "$W/image" 2>"$W/o" | awk '/Inode table at/ {
	split($4, r, "-"); if (r[2] + 0 > last) last = r[2] + 0
} END { print (last + 1) * 4096 }')
FIRST=$CACHE SECOND=$CACHE_DIR
CACHE_DIR=$FIRST:$SECOND
start_store
i=0
while [ $i -lt 100 ]; do
	sim_put "f$i" "size=300000&seed=$i" >"$W/o"
	sim_sha "f$i" >"$W/f$i.sum"
	i=$((i + 1))
done
data_in() { find "$1/v1" -type f -size +200k; }
mount_tarn
"$TARN" load "$MNT" >"$W/o"

# Which files are on the second disk: those that stay, and those that are read
# while it fails. The scrub gives up each that it cannot read, in the order of
# their names, until the tenth error turns the disk off, and the other daemon
# ten more that it reads: of more than that the last ones stay.
data_in "$SECOND" | sort | xargs -r sha256sum | cut -d' ' -f1 >"$W/second"
count=$(wc -l <"$W/second")
expect_ge "$count" 26 "files on the second disk"
expect_le "$count" 90 "files on the second disk"
tail -n 4 "$W/second" >"$W/last"
kept='' moved='' rest=''
for f in "$W"/f*.sum; do
	k=${f##*/}
	k=${k%.sum}
	if ! grep -qxF "$(cat "$f")" "$W/second"; then
		rest="$rest $k"
	elif grep -qxF "$(cat "$f")" "$W/last"; then
		kept="$kept $k"
	else
		moved="$moved $k"
	fi
done

second() { mount_stat "$W/$1" "m['ssd'][1]['state']"; }
second_is() { [ "$(second "$1")" = "$2" ]; }
opens() { mount_stat "$MNT" "m['reads']['kernel_passthrough_opens']"; }
right() { # KEY MOUNT: else it is told in wrong
	sha "$W/$2/$1" >"$W/$2.sum" 2>"$W/$2.err" || true
	cmp -s "$W/$2.sum" "$W/$1.sum" || echo "$2/$1: $(cat "$W/$2.err")" >>"$W/wrong"
}
: >"$W/wrong"
n=$(opens)
for k in $kept $moved $rest; do
	right "$k" mnt
done
[ "$(opens)" -gt "$n" ] || skip "no passthrough"
held=${moved# }
held=${held%% *}
exec 3<"$MNT/$held"

# One daemon that serves files itself; it is read all the time.
mount_tarn -n plain passthrough=off
(
	while [ ! -e "$W/enough" ]; do
		for k in $moved $rest; do
			right "$k" plain
		done
		sync -f "$W/disk"
		drop_caches
	done
) 3<&- &
reader=$!
at_exit "kill $reader 2>/dev/null || true"
sync
drop_caches
echo "read $tables 209715200 eio" >"$W/new"
mv "$W/new" "$W/faults"
# The scrub meets the fault before a file is in the kernel's hands. It ends at
# once where it cannot read what it has noted: it is asked for again.
scrubbed_off() { begin_scrub && second_is mnt off; }
wait_for 60 scrubbed_off
wait_for 60 second_is plain off
[ -s "$W/faults.fired" ] || fail "no fault of the disk"

# Off: what it held is fetched again, to the other disk, and handed out there.
sim forget ''
n=$(opens)
for k in $moved; do
	right "$k" mnt
done
expect_eq "$(cat "$W/wrong")" "" "reads that went wrong, disk off"
drop_caches
for k in $moved; do
	right "$k" mnt
done
expect_eq "$(cat "$W/wrong")" "" "reads that went wrong, from the other disk"
expect_ge "$(opens)" $((n + 2)) "files of the other disk handed to the kernel"
data_in "$FIRST" | xargs -r sha256sum >"$W/first"
for k in $moved; do
	grep -qF "$(cat "$W/$k.sum")" "$W/first" ||
		fail "$k is not on the first disk"
done
expect_ge "$(stat -c %s "$W/faults.fired")" 3 "faults"
second_is mnt off || fail "taken back while it fails"
second_is plain off || fail "taken back while it fails"

: >"$W/faults"
wait_for 60 second_is mnt ok
wait_for 60 second_is plain ok
grep -q "$SECOND: .*in use again" "$W/mnt.log" || fail "nothing was said"
sim forget ''
n=$(opens)
for k in $kept; do
	right "$k" mnt
done
expect_eq "$(sim 'count?op=GET')" 0 "GETs of what it holds"
expect_eq "$(opens)" $((n + 4)) "its files are handed to the kernel again"
: >"$W/enough"
wait $reader
expect_eq "$(cat "$W/wrong")" "" "reads that went wrong"
exec 3<&-
umount_tarn plain
umount_tarn
