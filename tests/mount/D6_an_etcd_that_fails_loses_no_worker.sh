# SPDX-License-Identifier: Apache-2.0
# D6: what etcd has below the prefix is deleted, has values that are no workers,
# and etcd is stopped, killed and started again: a mount keeps the workers it
# knows, readers see none of it, and a worker that comes afterwards is found.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put_files d/f 0 39 30000 1
sim_sums d/f 0 39 >"$W/want"
start_etcd
ring="etcd://$ETCD/tarn/test"
for n in 1 2; do
	start_worker -n w$n "workers=$ring"
done
mount_tarn "workers=$ring,cluster-key-file=$W/cluster.key,prefetch=off"
b64() { printf %s "$1" | base64; }
kv() { # OPERATION JSON
	curl -fsS --max-time 10 "http://$ETCD/v3/kv/$1" -d "$2" >"$W/kv"
}
listed() { # values below the prefix are so many
	kv range "{\"key\":\"$(b64 tarn/test/)\",\"range_end\":\"$(b64 tarn/test0)\"}" &&
		[ "$(json "$W/kv" 'int(j.get("count", 0))')" = "$1" ]
}
names() { mount_stat "$MNT" "' '.join(w['name'] for w in m['ring']['workers'])"; }
knows() { [ "$(names | wc -w)" = "$1" ]; }
all_well() { # WHAT: a read of nothing that this host has, by the workers it knew
	[ "$(names)" = "$known" ] || fail "$1: knows $(names), not $known"
	"$TARN" free "$MNT/d" >"$W/o"
	drop_caches
	python3 "$HELPERS/epoch.py" "$MNT/d" "$W/want" "$W/progress" >"$W/longest" ||
		fail "$1: $(cat "$W/longest")"
	expect_eq "$(sim 'count?op=GET')" 40 "$1: GETs of 40 files"
}
wait_for 20 knows 2
known=$(names)
all_well 'at first'

# The workers write themselves in again; until then it is empty.
kv deleterange "{\"key\":\"$(b64 tarn/test/)\",\"range_end\":\"$(b64 tarn/test0)\"}"
expect_eq "$(json "$W/kv" 'j["deleted"]')" 2 "values that were deleted"
all_well 'with an empty list'
wait_for 30 listed 2
all_well 'when they were back'

kv put "{\"key\":\"$(b64 tarn/test/a)\",\"value\":\"$(b64 'no worker at all')\"}"
kv put "{\"key\":\"$(b64 tarn/test/b)\",\"value\":\"$(b64 '{"name":"h:999999"}')\"}"
listed 4 || fail "the garbage is not there"
said() { grep -q '2 left out: tarn/test/' "$W/mnt.log"; }
wait_for 30 said
all_well 'with garbage in it'

kill -STOP "$etcd_pid"
all_well 'with a silent etcd'
kill -CONT "$etcd_pid"
kill -9 "$etcd_pid"
failing() { [ "$(mount_stat "$MNT" "m['ring']['failing'] != ''")" = True ]; }
wait_for 30 failing
all_well 'without etcd'
run_etcd
recovered() { [ "$(mount_stat "$MNT" "m['ring']['failing'] != ''")" = False ]; }
wait_for 40 recovered
all_well 'with etcd again'
start_worker -n w3 "workers=$ring"
wait_for 40 knows 3
no_errors mnt
umount_tarn
