# SPDX-License-Identifier: Apache-2.0
# C19, S9, S16: random operations on a small file and on one of several parts
# (tests/tools/fsx) give at each step what they should, also while the store fails
# now and then, and a mount that knows nothing of it finds the last of it in the
# store. SEEDS=... for others.
# stores: file objsim versitygw minio
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
SEEDS=${SEEDS:-1 2 3}
mount_tarn "rw,part-size=5M${OPTIONS:+,$OPTIONS}"
fsx() { # SEED
	seed=$1
	"$TOOLS/fsx" "$MNT/small$seed" "$seed" "${SMALL:-500}" 300000 65536 &
	small=$!
	"$TOOLS/fsx" "$MNT/large$seed" "$seed" "${LARGE:-100}" 24000000 6000000
	wait $small
}
for s in $SEEDS; do
	fsx "$s"
done
if [ "$STORE_KIND" = objsim ]; then
	n=0
	for op in PUT PART COMPLETE COPY PART_COPY CREATE_UPLOAD HEAD GET; do
		for fault in '"status":503' '"then":"reset"' \
			'"apply":true,"then":"reset"'; do
			n=$((n + 1))
			sim_rule "{\"name\":\"$op\",\"op\":\"$op\",\"probability\":0.1,\"seed\":$n,$fault}"
		done
	done
	fsx 100
	echo "parts: $(sim count?op=PART), of them failed: $(sim_fired PART)"
	expect_fired PUT 3
	expect_fired PART 3
	sim clear ''
	expect_eq "$(sim uploads)" 0 "uploads left"
fi
CACHE_DIR=$W/cache2 mount_tarn -n other
diff -r "$MNT" "$W/other"
no_errors mnt
umount_tarn
umount_tarn other
[ -z "$(find "$W/staging" -mindepth 2 -type f)" ] || fail "left: $(find "$W/staging" -type f)"
