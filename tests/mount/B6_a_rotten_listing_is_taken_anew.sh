# SPDX-License-Identifier: Apache-2.0
# B6, T6: a listing on the SSD of which a block rotted is no error of readdir,
# of `tarn load` or of a lookup by alias (N6), from the start of a directory and
# in the middle of it.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim 'many?bucket=bucket&prefix=d/f&n=3000&size=1' ''
long=$(printf 'x%.0s' $(seq 300))
sim_put "d/$long" 'size=10&seed=1' >"$W/o"
rot() { # of each listing all blocks but the first: LISTING_BLOCK is 32 KiB
	find "$CACHE" -name '*.lst' -size "+${1}c" | while read -r f; do
		python3 - "$f" "$1" <<'PY'
import os, sys
with open(sys.argv[1], "r+b") as f:
    for off in range(int(sys.argv[2]), os.path.getsize(f.name) - 4096, 16384):
        f.seek(off)
        f.write(b"rot")
PY
		echo "$f" >>"$W/rotten"
	done
	drop_caches
}
names() { ls "$MNT/d" >"$1"; }
mount_tarn consistency=immutable
names "$W/names"
expect_eq "$(wc -l <"$W/names")" 3001 names
umount_tarn

rot 5000
mount_tarn consistency=immutable
names "$W/again" || fail "readdir: a rotten listing is an error"
cmp "$W/names" "$W/again"
umount_tarn

# By its alias, by load, and from the middle.
rot 5000
mount_tarn consistency=immutable
alias=$(grep '^%~#' "$W/names")
expect_eq "$(stat -c %s "$MNT/d/$alias")" 10 "size, by its alias"
umount_tarn
rot 5000
mount_tarn consistency=immutable
"$TARN" load "$MNT/d" >"$W/o" 2>&1 || fail "load: $(cat "$W/o")"
umount_tarn
rot 60000
mount_tarn consistency=immutable
names "$W/again"
cmp "$W/names" "$W/again"
umount_tarn
expect_ge "$(wc -l <"$W/rotten")" 4 "listings spoilt"
