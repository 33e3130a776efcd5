# SPDX-License-Identifier: Apache-2.0
# B4: the N-th call on the cache directory fails, for N = 1, 2, 3... until a
# run has no failure left; then the disk is read-only. Readers see nothing.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
: >"$W/faults"
TARN_WRAP="env FAULTIO=$W/faults LD_PRELOAD=$SHIMS/libfaultio.so"
set_faults() { # TEXT: seen whole by the next call
	: >"$W/faults.fired"
	echo "$1" >"$W/rule"
	mv "$W/rule" "$W/faults"
}
# After three errors a daemon rests its disk: it is not asked more often.
fresh() {
	errors=$((${errors-2} + 1))
	[ $errors -ge 3 ] || return 0
	errors=1
	set_faults ''
	! mounts_here | grep -q "^$MNT\$" || umount_tarn
	mount_tarn passthrough=off,consistency=strict
}
i=0 fired=0
for calls in openat,open write,pwrite rename fsync ftruncate,fallocate \
	fsetxattr unlink; do
	for size in 200000 2000000; do
		n=1
		while [ $n -le 12 ]; do
			i=$((i + 1))
			fresh
			sim_put "k$i" "size=$size&seed=$i" >"$W/o"
			errno=$((n % 2 * 23 + 5)) # EIO, ENOSPC
			set_faults "$calls $CACHE $n 1 $errno"
			want=$(sim_sha "k$i")
			expect_eq "$(sha "$MNT/k$i")" "$want" "call $n of $calls"
			expect_eq "$(sha "$MNT/k$i")" "$want" "again, call $n of $calls"
			[ -s "$W/faults.fired" ] || break
			fired=$((fired + 1))
			n=$((n + 1))
		done
	done
done
expect_ge $fired 8 "calls that failed"
errors=2
fresh
sim_put ro 'size=2000000&seed=1' >"$W/o"
set_faults "openat,open,write,pwrite,rename,fsync,ftruncate,fallocate,fsetxattr,unlink $CACHE 1 0 30"
expect_eq "$(sha "$MNT/ro")" "$(sim_sha ro)" "on a read-only disk"
expect_ge "$(stat -c %s "$W/faults.fired")" 1 "faults"
set_faults ''
umount_tarn
