# SPDX-License-Identifier: Apache-2.0
# Workers write themselves into etcd and a mount finds them there: one that
# comes is asked, one that ends by SIGTERM is out of the list at once, one that
# is killed when its lease has ended; readers see none of it. What moves to
# another owner is asked of the previous one, not of the store.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put_files d/f 0 39 60000 1
start_etcd
ring="etcd://$ETCD/tarn/test"
start_worker -n one "workers=$ring"
one=${WORKER#http://}
start_worker -n two "workers=$ring"
two=${WORKER#http://}
mount_tarn "workers=$ring,cluster-key-file=$W/cluster.key,prefetch=off"
names() {
	mount_stat "$MNT" "' '.join(sorted(w['name'] for w in m['ring']['workers']))"
}
are() { [ "$(names)" = "$(printf '%s\n' "$@" | LC_ALL=C sort | tr '\n' ' ' | sed 's/ $//')" ]; }
wait_for 20 are "$one" "$two"
read_all() {
	(cd "$MNT" && "$TARN" free d) >"$W/o"
	drop_caches
	(cd "$MNT/d" && sha256sum -- *) >"$W/sums"
	expect_eq "$(awk '$2 == "f7" { print $1 }' "$W/sums")" "$(sim_sha d/f7)"
	expect_eq "$(wc -l <"$W/sums")" 40
}
read_all
gets=$(sim 'count?op=GET&key=d/*')
expect_eq "$gets" 40 "GETs of 40 files"

# A third comes: a share of the files is its own now, and the store is not
# asked for these again.
start_worker -n three "workers=$ring"
three=${WORKER#http://}
wait_for 20 are "$one" "$two" "$three"
read_all
expect_eq "$(sim 'count?op=GET&key=d/*')" 40 "GETs after a third worker came"
expect_ge "$(mount_stat "$MNT" "m['counters']['peer_previous']")" 1 \
	"asked of previous owners"

stop_worker two
wait_for 5 are "$one" "$three"
read_all
kill -9 "$(worker_pid three)"
read_all
wait_for 30 are "$one"
read_all
expect_eq "$(grep -c ' err ' "$W/mnt.log" || true)" 0 "errors in the log"
