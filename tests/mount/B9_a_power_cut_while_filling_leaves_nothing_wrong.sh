# SPDX-License-Identifier: Apache-2.0
# B9: the cache's disk dies while it is filled, and what was not yet written to
# it is lost, as by a power cut: reads go on, and what is served later from
# what was left on the disk is right.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
small_disk 300
start_store
cut_power() {
	# FS_IOC_SHUTDOWN with FS_SHUTDOWN_FLAGS_NOLOGFLUSH
	python3 -c 'import fcntl, os, struct, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
fcntl.ioctl(fd, 0x8004587d, struct.pack("I", 2))' "$W/disk"
	! touch "$W/disk/alive" 2>"$W/o" || fail "the disk lives"
}
remount_disk() { # OPTIONS
	umount "$W/disk"
	mount -o "loop,$1" "$disk_image" "$W/disk"
}
for i in 1 2 3 4; do
	# By turns with blocks that are the files' before they hold their bytes.
	case $i in
	1 | 3) remount_disk nodelalloc,data=writeback ;;
	*) remount_disk data=ordered ;;
	esac
	for n in 1 2 3; do
		sim_put $i-l$n "size=5000000&seed=$i$n" >"$W/o"
		sim_put $i-s$n "size=600000&seed=$i$n" >"$W/o"
	done
	# A file that the kernel reads by itself would be an EIO of its reader.
	mount_tarn consistency=strict,passthrough=off
	# The cut comes when half of the large files is there.
	sim_rule '{"name":"cut'$i'","op":"GET","key":"'$i'-l*","from":2500000,
		"after_bytes":100000,"then":"hold"}'
	readers=
	for n in 1 2 3; do
		timeout 60 cat "$MNT/$i-s$n" "$MNT/$i-l$n" >"$W/out.$n" &
		readers="$readers $!"
	done
	held() { [ "$(sim_fired "cut$i")" -ge 3 ]; }
	wait_for 20 held
	# The worst order: the checksums are on the disk, the bytes are not.
	find "$CACHE_DIR" -name '*.map' -exec sync {} +
	cut_power
	sim "release?rule=cut$i" ''
	for p in $readers; do
		wait "$p" || fail "round $i: a reader failed"
	done
	for n in 1 2 3; do
		expect_eq "$(head -c 600000 "$W/out.$n" | sha -)" \
			"$(sim_sha $i-s$n)" "$i-s$n, the disk dead"
		expect_eq "$(tail -c +600001 "$W/out.$n" | sha -)" \
			"$(sim_sha $i-l$n)" "$i-l$n, the disk dead"
	done
	failed() { [ "$(mount_stat "$MNT" "m['counters']['ssd_errors']")" -ge 1 ]; }
	wait_for 20 failed
	umount_tarn
done
remount_disk data=ordered
check() { # WHAT
	for i in 1 2 3 4; do
		for n in 1 2 3; do
			for k in l s; do
				expect_eq "$(sha "$MNT/$i-$k$n")" "$(sim_sha "$i-$k$n")" "$i-$k$n, $1"
			done
		done
	done
}
mount_tarn passthrough=off
check "after the cuts"
expect_ge "$(mount_stat "$MNT" "m['counters']['bad_pages']")" 1 "pages found bad"
umount_tarn
sim forget ''
mount_tarn
check warm
expect_eq "$(sim 'count?op=GET')" 0 "GETs once all is cached"
umount_tarn
