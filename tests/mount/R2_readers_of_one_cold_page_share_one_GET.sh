# SPDX-License-Identifier: Apache-2.0
# R2: twenty readers of one cold file, small or large: one GET of its bytes.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put small 'size=500000&seed=3' >"$W/o"
sim_put large 'size=6000000&seed=4' >"$W/o"
mount_tarn
ls "$MNT" >"$W/ls"
for key in small large; do
	sim_rule '{"name":"gate-'$key'","op":"GET","key":"'$key'","hold":true}'
	readers=
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		head -c 1000 "$MNT/$key" | sha256sum >>"$W/$key.sums" &
		readers="$readers $!"
	done
	waiting() { [ "$(sim "count?op=GET&key=$key")" -ge 1 ]; }
	wait_for 30 waiting
	sim "release?rule=gate-$key" ''
	# shellcheck disable=SC2086 # several
	wait $readers
	expect_eq "$(sort -u "$W/$key.sums" | wc -l)" 1 "different answers"
	curl -fsS "$SIM/_sim/get?bucket=bucket&key=$key" | head -c 1000 |
		sha256sum | cmp - "$(sort -u "$W/$key.sums" >"$W/u" && echo "$W/u")"
	cat "$MNT/$key" >"$W/out"
	expect_eq "$(sha "$W/out")" "$(sim_sha $key)" "$key"
	size=$(stat -c %s "$MNT/$key")
	expect_le "$(sim "bytes?op=GET&key=$key")" "$size" "bytes sent of $key"
done
expect_eq "$(sim 'count?op=GET&key=small')" 1 "GETs of the small file"
umount_tarn
