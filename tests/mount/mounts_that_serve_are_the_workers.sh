# SPDX-License-Identifier: Apache-2.0
# serve=: three mounts are each other's workers, with no other process. They
# read the same cold bytes at once, and the store sends each of them once. When
# two are gone, the third goes on.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
bytes=0
for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	sim_put "d/s$n" "size=$((n * 10000))&seed=$n" >"$W/o"
	bytes=$((bytes + n * 10000))
done
sim_put d/large 'size=30000001&seed=99' >"$W/o"
bytes=$((bytes + 30000001))
make_cluster_key
members=
for m in a b c; do
	eval "port_$m=127.0.0.1:$(free_port)"
	eval "members=\$members\${members:++}\$port_$m"
done
for m in a b c; do
	mkdir -m 700 "$W/cache.$m"
	serve=
	eval "serve=\$port_$m"
	CACHE_DIR=$W/cache.$m mount_tarn -n $m \
		"serve=$serve,workers=$members,cluster-key-file=$W/cluster.key,prefetch=off"
	grep -q "serve *$serve" "$W/$m.out"
done
read_all() { # MOUNT
	(cd "$W/$1/d" && sha256sum -- *) >"$W/$1.sums"
}
pids=
for m in a b c; do
	read_all $m &
	pids="$pids $!"
done
for p in $pids; do
	wait "$p"
done
for n in 1 7 20; do
	expect_eq "$(awk "\$2 == \"s$n\" { print \$1 }" "$W/a.sums")" "$(sim_sha d/s$n)"
done
expect_eq "$(awk '$2 == "large" { print $1 }' "$W/a.sums")" "$(sim_sha d/large)"
cmp "$W/a.sums" "$W/b.sums"
cmp "$W/a.sums" "$W/c.sums"
expect_eq "$(sim 'bytes?op=GET&key=d/*&status=200')" \
	$((bytes - 30000001)) "bytes of small objects, once each"
expect_eq "$(sim 'bytes?op=GET&key=d/*&status=206')" 30000001 \
	"bytes of the large one, once"
umount_tarn a
kill_tarn b
mkdir "$W/empty"
(cd "$W/c" && "$TARN" free d) >"$W/o"
drop_caches
read_all c
cmp "$W/a.sums" "$W/c.sums"
