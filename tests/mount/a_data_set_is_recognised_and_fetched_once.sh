# SPDX-License-Identifier: Apache-2.0
# A few files of a directory of small ones are read in no order: the rest is
# fetched too, each file once; what is read then asks the store for nothing,
# and status tells what was fetched ahead and what of it was read. So are the
# files of directories side by side. A large file among them is left alone.
# stores: objsim versitygw
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
mkdir -p "$W/src/flat"
for n in $(seq 100 219); do
	make_file "$W/src/flat/$n" $((n * 13)) "$n"
done
make_file "$W/src/flat/large" 3000000 1
for d in $(seq 10 29); do
	mkdir -p "$W/src/sets/$d"
	for n in 1 2 3 4 5; do
		make_file "$W/src/sets/$d/$n" $((d * 100 + n)) "$d$n"
	done
done
store_put_tree "$W/src"
prefetched() { mount_stat "$MNT" "m['prefetch']['files']"; }
gets() { echo $(($(store_count GET) - before)); }

mount_tarn prefetch=off
before=$(store_count GET)
for n in $(seq 100 139 | shuf --random-source="$W/src/flat/large"); do
	cmp "$MNT/flat/$n" "$W/src/flat/$n"
done
expect_eq "$(gets)" 40 "GETs with prefetch=off"
expect_eq "$(prefetched)" 0 "prefetched with prefetch=off"
umount_tarn
rm -rf "$CACHE/v1"

mount_tarn
before=$(store_count GET)
for n in $(seq 100 139 | shuf --random-source="$W/src/flat/large"); do
	cmp "$MNT/flat/$n" "$W/src/flat/$n"
done
all_there() { [ "$(gets)" -eq "$1" ]; }
wait_for 30 all_there 120
for n in $(seq 100 219); do
	cmp "$MNT/flat/$n" "$W/src/flat/$n"
done
expect_eq "$(gets)" 120 "GETs of a directory of 120"
expect_ge "$(prefetched)" 60 "prefetched"
expect_eq "$(mount_stat "$MNT" "m['prefetch']['read_files']")" "$(prefetched)" \
	"of those, read"

for d in $(seq 10 29); do
	cmp "$MNT/sets/$d/3" "$W/src/sets/$d/3"
done
wait_for 30 all_there 220
for d in $(seq 10 29); do
	for n in 1 2 3 4 5; do
		cmp "$MNT/sets/$d/$n" "$W/src/sets/$d/$n"
	done
done
expect_eq "$(gets)" 220 "GETs, with those of 20 directories of 5"
umount_tarn
