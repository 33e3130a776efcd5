# SPDX-License-Identifier: Apache-2.0
# E5: the N-th allocation of a read fails, for N = 1, 2, 3...: ENOMEM or the
# right bytes, and all is well after it.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
: >"$W/faults"
export FAULTIO="$W/faults"
TARN_WRAP="env LD_PRELOAD=$SHIMS/libfaultio.so"
mount_tarn consistency=strict,metadata-timeout=5s,read-timeout=5s
unset FAULTIO
pid=$(mount_pid)
n=1 fired=0 errors=0
while [ $n -le 400 ]; do
	sim_put "d$n/k" "size=$((n % 5 * 400000 + 10))&seed=$n" >"$W/o"
	: >"$W/faults.fired"
	echo "malloc - $n 1 0" >"$W/rule"
	sed -i "s/ 0$/ 12/" "$W/rule"
	mv "$W/rule" "$W/faults"
	ls "$MNT/d$n" >"$W/ls" 2>&1 || true
	if cat "$MNT/d$n/k" >"$W/out" 2>"$W/err"; then
		expect_eq "$(sha "$W/out")" "$(sim_sha "d$n/k")" "allocation $n"
	else
		errors=$((errors + 1))
		grep -q 'Cannot allocate memory' "$W/err" ||
			fail "allocation $n: $(cat "$W/err")"
	fi
	[ -s "$W/faults.fired" ] && fired=$((fired + 1))
	: >"$W/rule"
	mv "$W/rule" "$W/faults"
	kill -0 "$pid" || fail "the daemon died at allocation $n"
	expect_eq "$(sha "$MNT/d$n/k")" "$(sim_sha "d$n/k")" "after allocation $n"
	# Dense first, then in growing steps, until a run has none left.
	[ -s "$W/faults.fired" ] || break
	n=$((n + 1 + n / 40))
done
expect_ge "$fired" 10 "allocations that failed"
expect_eq "$(mount_pid)" "$pid" "the daemon"
umount_tarn
