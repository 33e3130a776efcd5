# SPDX-License-Identifier: Apache-2.0
# A list of names for the ring is cut where what a worker reads at once is full:
# by the URLs that it is told, which are longer than the names on the mount.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
prefix=$(printf '%0200d/%0200d/%0200d/%0200d' 1 2 3 4)
sim_put "$prefix/a" 'size=1000&seed=1' >"$W/o"
SOURCE=$SOURCE/$prefix
start_worker
mount_tarn "workers=${WORKER#http://},cluster-key-file=$W/cluster.key"
i=0
while [ $i -lt 2000 ]; do
	echo "$MNT/a"
	i=$((i + 1))
done >"$W/list"
"$TARN" load --to ring --dry-run --json --list "$W/list" >"$W/load.json" \
	2>"$W/err" || fail "load: $(cat "$W/err")"
expect_eq "$(json "$W/load.json" "j['files']")" 2000 "files"
expect_ge "$(json "$W/load.json" "len(j['jobs'])")" 2 "jobs"
umount_tarn
stop_worker
