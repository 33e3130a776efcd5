# SPDX-License-Identifier: Apache-2.0
# What is fetched ahead of a data set never takes the place of cached bytes:
# it ends where the cache is full.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put keep 'size=12000000&seed=9' >"$W/o"
for n in $(seq 100 179); do
	sim_put "set/$n" "size=500000&seed=$n" >"$W/o"
done
mount_tarn cache-size=32M
sha "$MNT/keep" >"$W/keep"
for n in $(seq 100 117); do
	expect_eq "$(sha "$MNT/set/$n")" "$(sim_sha "set/$n")" "$n"
done
# 12 MB and 40 files of 0.5 MB fit, 80 do not.
filled() { [ "$(mount_stat "$MNT" "m['prefetch']['files']")" -ge 15 ]; }
wait_for 30 filled
at_rest() {
	now=$(mount_stat "$MNT" "m['prefetch']['files']")
	[ "$now" = "${last-}" ] || { last=$now && return 1; }
}
wait_for 30 at_rest
expect_eq "$(mount_stat "$MNT" "m['ssd'][0]['evicted_bytes']")" 0 evicted
expect_le "$(mount_stat "$MNT" "m['ssd'][0]['bytes']")" 33554432 held
gets=$(sim 'count?op=GET&key=keep')
expect_eq "$(sha "$MNT/keep")" "$(cat "$W/keep")" "what was cached before"
expect_eq "$(sim 'count?op=GET&key=keep')" "$gets" "GETs of it"
umount_tarn
