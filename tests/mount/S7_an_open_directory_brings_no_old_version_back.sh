# SPDX-License-Identifier: Apache-2.0
# S7: a directory that was opened before the change and the invalidate, and is
# read after them, hands out its old listing but makes nobody believe it.
# (scripts/soak: the old version after invalidate.)
# stores: file objsim
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
mkdir -p "$W/src/d"
make_file "$W/src/d/f" 1000 1
make_file "$W/src/d/g" 1000 1
store_put_tree "$W/src"
mount_tarn consistency=ttl:1h
# The old version is on the SSD: nothing but its name could tell.
cmp "$W/src/d/f" "$MNT/d/f"
make_file "$W/new" 2000 2
mkfifo "$W/go"
# scandir() opens the directory, its first entry reads it.
python3 -c '
import os, sys
it = os.scandir(sys.argv[1])
print("open", flush=True)
open(sys.argv[2]).read()
print(sorted(e.name for e in it), flush=True)
it.close()
' "$MNT/d" "$W/go" >"$W/names" &
lister=$!
wait_for 20 grep -q open "$W/names"
store_put d/f "$W/new"
"$TARN" invalidate "$MNT/d/f"
echo go >"$W/go"
wait $lister
grep -qF "['f', 'g']" "$W/names" || fail "listed: $(cat "$W/names")"
expect_eq "$(stat -c %s "$MNT/d/f")" 2000 "size after invalidate"
cmp "$W/new" "$MNT/d/f" || fail "the old version after invalidate"
cmp "$W/src/d/g" "$MNT/d/g"
umount_tarn
