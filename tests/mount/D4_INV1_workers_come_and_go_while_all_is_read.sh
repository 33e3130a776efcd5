# SPDX-License-Identifier: Apache-2.0
# D4, INV1, INV6: five workers in etcd, of which one a second is killed, told to
# end, stopped for a while or started again, and objects that are overwritten:
# every byte that four readers of two mounts see is of one version, no read
# fails, no version is older than it may be, and in the end all is as it was.
#
# CHURN_SECONDS=N goes on for longer than 35 s (then TEST_TIMEOUT=N, too, must
# be larger than its usual 150); CHURN_SEED=N is another order of things.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
start_etcd
make_cluster_key
ring="etcd://$ETCD/tarn/churn"
for m in a b; do
	mkdir -m 700 "$W/cache.$m"
	CACHE_DIR=$W/cache.$m mount_tarn -n $m \
		"workers=$ring,cluster-key-file=$W/cluster.key,prefetch=off,consistency=ttl:4s"
done
timeout 3600 python3 "$HELPERS/churn.py" "${CHURN_SECONDS:-35}" "${CHURN_SEED:-1}" \
	"$TARN" "$SIM" 4 "$W" "$ring" \
	"cluster-key-file=$W/cluster.key,memory=64M,$STORE_OPTS" "$W/a" "$W/b" \
	>"$W/done" || fail "$(cat "$W/done")"
cat "$W/done"
for what in killed 'told to end' stopped started continued overwritten; do
	expect_ge "$(json "$W/done" "j['$what']")" 1 "times that a worker or object was $what"
done
for m in a b; do
	expect_ge "$(counter $m peer_errors)" 3 "failures of workers that $m saw"
	expect_ge "$(counter $m peer_bytes_in)" 1000000 "bytes of workers that $m got"
	expect_eq "$(counter $m peer_wrong)" 0 "wrong answers that $m saw"
	echo "$m: $(mount_stat "$W/$m" "{k: v for k, v in m['counters'].items() if k.startswith('peer') or k == 'store_token_waits'}")"
	echo "$m: epoch $(mount_stat "$W/$m" "m['ring']['epoch']")"
done
expect_ge "$(mount_stat "$W/a" "m['ring']['epoch']")" 3 "views of the ring"
no_errors a b
umount_tarn a
umount_tarn b
