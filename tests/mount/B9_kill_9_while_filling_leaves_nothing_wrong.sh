# SPDX-License-Identifier: Apache-2.0
# B9: the daemon is killed at some point of its fills, again and again; what
# the next one serves is right, and is served from the disk in the end.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
for n in 1 2 3 4 5 6; do
	sim_put l$n "size=9000000&seed=$n" >"$W/o"
	sim_put s$n "size=600000&seed=1$n" >"$W/o"
done
i=0
while [ $i -lt 12 ]; do
	i=$((i + 1))
	mount_tarn
	# The kill comes when so many GETs were asked for.
	sim forget ''
	pid=$(mount_pid)
	for n in 1 2 3 4 5 6; do
		cat "$MNT/s$n" "$MNT/l$n" >"$W/out.$n" 2>"$W/o.$n" &
	done
	far() { [ "$(sim 'count?op=GET')" -ge $((i / 2)) ]; }
	wait_for 20 far
	kill -9 "$pid"
	wait
	wait_for 20 no_process "$pid"
	umount -l "$MNT"
	for n in 1 2 3 4 5 6; do
		sim_sha s$n >"$W/o"
	done
done
mount_tarn
for n in 1 2 3 4 5 6; do
	expect_eq "$(sha "$MNT/l$n")" "$(sim_sha l$n)" "l$n"
	expect_eq "$(sha "$MNT/s$n")" "$(sim_sha s$n)" "s$n"
done
umount_tarn
sim forget ''
mount_tarn
for n in 1 2 3 4 5 6; do
	expect_eq "$(sha "$MNT/l$n")" "$(sim_sha l$n)" "l$n, warm"
done
expect_eq "$(sim 'count?op=GET')" 0 "GETs once all is cached"
umount_tarn
