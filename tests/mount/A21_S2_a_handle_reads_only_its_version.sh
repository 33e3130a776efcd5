# SPDX-License-Identifier: Apache-2.0
# A21, S2, T1: an object is overwritten while a handle reads it, with the same
# size and in the same second too: the handle reads its version or gets
# ESTALE, a new open sees the new one.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
mount_tarn consistency=strict,readahead=1M
# Every GET names the version that it wants.
tagged() { # of the mount's GETs, those with and without a tag
	sim 'journal?op=GET' >"$W/journal"
	json "$W/journal" \
		'"%d %d" % (sum(e["if_match"] != "" for e in j), sum(e["if_match"] == "" for e in j))'
}
seed=1
stale=0
for size in 65535 65537 1048577 40000000; do
	n=$(python3 "$HELPERS/handle.py" "$MNT/f" "$SIM" f $size $seed $((seed + 1)))
	stale=$((stale + n))
	seed=$((seed + 2))
done
# The fault fired: the large one was not cached whole when it changed.
expect_ge "$stale" 1 "reads that were ESTALE"
expect_ge "$(sim 'count?op=GET&status=412')" 1 "answers 412"
read -r with without <<T
$(tagged)
T
expect_ge "$with" 4 "GETs with If-Match"
expect_eq "$without" 0 "GETs without If-Match"
umount_tarn
