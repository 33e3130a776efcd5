# SPDX-License-Identifier: Apache-2.0
# B13: 32 readers of ten times what the cache may hold, and files larger than
# it: all bytes are right, readers get on, the limit holds.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
for n in 1 2 3 4 5 6 7 8; do
	sim_put f$n "size=9000000&seed=$n" >"$W/o"
	sim_put s$n "size=700000&seed=1$n" >"$W/o"
	sim_sha f$n >"$W/want.f$n"
	sim_sha s$n >"$W/want.s$n"
done
sim_put giant 'size=60000000&seed=9' >"$W/o"
mount_tarn cache-size=16M
readers=
i=0
while [ $i -lt 32 ]; do
	i=$((i + 1))
	{
		for n in 1 2 3 4 5 6 7 8; do
			m=$(((n + i) % 8 + 1))
			for k in s f; do
				[ "$k" = s ] || [ $(((i + n) % 4)) = 0 ] || continue
				[ "$(sha "$MNT/$k$m")" = "$(cat "$W/want.$k$m")" ] ||
					echo "$k$m by $i" >>"$W/wrong"
			done
		done
	} &
	readers="$readers $!"
done
# shellcheck disable=SC2086
wait $readers
[ ! -s "$W/wrong" ] || fail "wrong: $(cat "$W/wrong")"
expect_eq "$(sha "$MNT/giant")" "$(sim_sha giant)" "larger than the cache"
expect_eq "$(sha "$MNT/f1")" "$(cat "$W/want.f1")"
expect_ge "$(mount_stat "$MNT" "m['ssd'][0]['evicted_bytes']")" 1 "evicted bytes"
within() {
	[ "$(du -sk "$CACHE" | cut -f1)" -le $((16 * 1024 + 4096)) ]
}
wait_for 30 within
umount_tarn
