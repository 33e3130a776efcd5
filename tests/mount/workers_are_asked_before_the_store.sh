# SPDX-License-Identifier: Apache-2.0
# The third tier: what one mount read through the workers, a second one with an
# empty SSD reads without the store sending a byte; each object has cost the
# store one GET, metadata and all, and the status says where bytes came from.
# stores: objsim versitygw
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
mkdir -p "$W/src/d/e"
for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
	make_file "$W/src/d/$n" $((n * 20000)) "$n"
done
make_file "$W/src/d/e/big" 20000003 17
: >"$W/src/d/empty"
store_put_tree "$W/src"
start_worker -n one
one=${WORKER#http://}
start_worker -n two
two=${WORKER#http://}
with="workers=$one+$two,cluster-key-file=$W/cluster.key"

mkdir -m 700 "$W/c1" "$W/c2" "$W/c3"
CACHE_DIR=$W/c1 mount_tarn -n first "$with,prefetch=off"
grep -q "workers *2 of $one+$two" "$W/first.out"
diff -r "$W/src" "$W/first"
gets=$(store_count GET)
fetched=0
for name in "$one" "$two"; do
	WORKER=http://$name
	fetched=$((fetched + $(worker_status "w['counters']['fill_bytes']")))
done
expect_eq "$fetched" "$(find "$W/src" -type f -printf '%s\n' | awk '{ n += $1 } END { print n }')" \
	"bytes that both workers got from the store"
expect_eq "$(mount_stat "$W/first" "m['reads']['store_bytes']")" 0 \
	"bytes of reads from the store itself"

CACHE_DIR=$W/c2 mount_tarn -n second "$with"
lists=$(store_count LIST)
diff -r "$W/src" "$W/second"
expect_eq "$(store_count GET)" "$gets" "GETs of the second mount"
# Mounting asks one; the root's and the others' are the workers'.
expect_le "$(store_count LIST)" "$lists" "LISTs of the second mount"
for name in "$one" "$two"; do
	hits=$(mount_stat "$W/second" "[w['hit_bytes'] for w in m['ring']['workers'] if w['name'] == '$name' and w['state'] == 'up'][0]")
	expect_ge "$hits" 20000 "bytes from $name"
done
expect_eq "$(mount_stat "$W/second" "m['store']['get']")" 0 "its own GETs"
expect_ge "$(mount_stat "$W/second" "m['reads']['peer_bytes']")" 1000000 \
	"bytes of reads from workers"

# Both die: what is on the SSD is read, what is not comes from the store.
stop_worker one
stop_worker two
diff -r "$W/src" "$W/second"
CACHE_DIR=$W/c3 mount_tarn -n third "$with"
diff -r "$W/src" "$W/third"
expect_ge "$(store_count GET)" $((gets + 17)) "GETs without workers"
