# SPDX-License-Identifier: Apache-2.0
# B4: the N-th call on the cache directory fails, for N = 1, 2, 3... until a
# run has no failure left; then the disk is read-only. Readers see nothing.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
: >"$W/faults"
export FAULTIO="$W/faults"
TARN_WRAP="env LD_PRELOAD=$SHIMS/libfaultio.so"
export ASAN_OPTIONS=verify_asan_link_order=0
mount_tarn passthrough=off
unset FAULTIO
i=0
for errno in 5 28; do
	for call in openat,open write,pwrite rename fsync ftruncate,fallocate fsetxattr unlink; do
		n=1
		while [ $n -le 40 ]; do
			i=$((i + 1))
			: >"$W/faults.fired"
			size=200000
			[ $((n % 3)) -ne 0 ] || size=2000000
			sim_put "k$i" "size=$size&seed=$i" >"$W/o"
			echo "$call $CACHE $n 1 $errno" >"$W/rule"
			mv "$W/rule" "$W/faults"
			expect_eq "$(sha "$MNT/k$i")" "$(sim_sha "k$i")" "call $n of $call"
			expect_eq "$(sha "$MNT/k$i")" "$(sim_sha "k$i")" "again, $n of $call"
			[ -s "$W/faults.fired" ] || break
			any=1
			n=$((n + 1))
		done
	done
done
expect_eq "${any-}" 1 "any fault fired"
echo "* $CACHE 1 0 30" >"$W/rule"
mv "$W/rule" "$W/faults"
sim_put ro 'size=2000000&seed=1' >"$W/o"
expect_eq "$(sha "$MNT/ro")" "$(sim_sha ro)" "on a read-only disk"
expect_ge "$(stat -c %s "$W/faults.fired")" 1 "faults"
: >"$W/rule"
mv "$W/rule" "$W/faults"
umount_tarn
