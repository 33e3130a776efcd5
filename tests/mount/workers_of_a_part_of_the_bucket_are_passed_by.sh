# SPDX-License-Identifier: Apache-2.0
# A mount of a whole bucket, with a worker that serves a prefix of it: all is
# seen and right, what the worker has comes from it, the rest from the store;
# the worker stays up, and that it does not serve all is said once.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
for n in 1 2 3 4 5 6; do
	sim_put in/side/f$n "size=300000&seed=$n" >"$W/o"
	sim_put out/f$n "size=300000&seed=1$n" >"$W/o"
done
sim_put top 'size=9000000&seed=9' >"$W/o"
cached_in_worker() { find "$W/worker" -type f -size 586 | wc -l; } # of 512 bytes
whole=$SOURCE
SOURCE=s3://bucket/in/side
start_worker
SOURCE=$whole
mount_tarn "workers=${WORKER#http://},cluster-key-file=$W/cluster.key"
expect_eq "$(cd "$MNT" && find . -type f | sort | tr '\n' ' ')" \
	"$(printf './in/side/f%s ' 1 2 3 4 5 6)$(printf './out/f%s ' 1 2 3 4 5 6)./top "
for n in 1 2 3 4 5 6; do
	expect_eq "$(sha "$MNT/in/side/f$n")" "$(sim_sha in/side/f$n)" "in/side/f$n"
	expect_eq "$(sha "$MNT/out/f$n")" "$(sim_sha out/f$n)" "out/f$n"
done
expect_eq "$(sha "$MNT/top")" "$(sim_sha top)" top
expect_eq "$(grep -c 'does not serve all that is asked' "$W/mnt.log")" 1 "lines"
! grep -E 'is down|not asked for a minute' "$W/mnt.log" || fail "it went down"
# Out of the worker's files, as the store heard each of them once.
expect_eq "$(sim 'count?op=GET&key=in/side/*')" 6 "GETs of what the worker has"
expect_eq "$(cached_in_worker)" 6 "files on the worker's SSD"
umount_tarn
stop_worker
