# SPDX-License-Identifier: Apache-2.0
# B6, B8: bytes of data files and maps change, files are cut and grown, a
# page becomes a hole: all is seen, and fetched again.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put large 'size=9000000&seed=1' >"$W/o"
sim_put small 'size=900000&seed=2' >"$W/o"
sim_put tiny 'size=100&seed=3' >"$W/o"
round() { # WHAT
	mount_tarn passthrough=off
	for k in large small tiny; do
		expect_eq "$(sha "$MNT/$k")" "$(sim_sha $k)" "$k after $1"
	done
	bad=$(mount_stat "$MNT" "sum(d['bad_pages'] for d in m['ssd'])")
	umount_tarn
	drop_caches
}
rot() { # SEED FILE...: one byte of every kind of place
	python3 - "$@" <<'PY'
import os, random, sys
g = random.Random(int(sys.argv[1]))
for name in sys.argv[2:]:
    n = os.path.getsize(name)
    if n == 0:
        continue
    with open(name, "r+b") as f:
        for off in {g.randrange(n), 0, n - 1}:
            f.seek(off)
            b = f.read(1)
            f.seek(off)
            f.write(bytes([b[0] ^ 0x55]))
PY
}
files() { find "$CACHE/v1" -type f; }
round "nothing"
# shellcheck disable=SC2046 # no spaces in these names
rot 1 $(files)
sim forget ''
round "rot in every file"
expect_ge "$(sim 'count?op=GET')" 3 "GETs after rot: it was seen"
i=2
while [ $i -lt 8 ]; do
	# shellcheck disable=SC2046
	rot $i $(files | sort | awk "(NR + $i) % 3 == 0")
	round "rot, seed $i"
	i=$((i + 1))
done
for f in $(files); do truncate -s -1 "$f" 2>"$W/o" || true; done
round "a byte cut off each file"
for f in $(files); do truncate -s +1 "$f"; done
round "a byte more in each file"
for f in $(files); do truncate -s 0 "$f"; done
round "empty files"
# The data is gone but the map says that it is there.
for f in $(cached_files +100k); do
	size=$(stat -c %s "$f")
	fallocate -p -o 65536 -l 131072 "$f" 2>"$W/o" || {
		truncate -s 65536 "$f"
		truncate -s "$size" "$f"
	}
done
sim forget ''
round "a hole"
expect_ge "$(sim 'count?op=GET')" 1 "GETs: the hole was seen"
expect_ge "$bad" 1 "bad pages counted"
find "$CACHE/v1" -type f -size -64k -delete
round "maps and small files gone"
