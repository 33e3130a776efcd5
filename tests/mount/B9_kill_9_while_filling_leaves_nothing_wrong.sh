# SPDX-License-Identifier: Apache-2.0
# B9: the daemon is killed at some point of its fills, again and again; what
# the next one serves is right, and is served from the disk in the end.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
rounds=10
i=0
while [ $i -lt $rounds ]; do
	i=$((i + 1))
	for n in 1 2 3; do
		sim_put $i-l$n "size=5000000&seed=$i$n" >"$W/o"
		sim_put $i-s$n "size=600000&seed=$i$n" >"$W/o"
	done
	# strict: the listing that the last mount left knows no new key.
	mount_tarn consistency=strict
	pid=$(mount_pid)
	# The kill comes when so many bytes of this round were sent.
	sim forget ''
	readers=
	for n in 1 2 3; do
		cat "$MNT/$i-s$n" "$MNT/$i-l$n" >"$W/out.$n" 2>"$W/o.$n" &
		readers="$readers $!"
	done
	far() { [ "$(sim 'count?op=GET')" -ge $((i % 5 + 1)) ]; }
	wait_for 20 far
	kill -9 "$pid"
	# shellcheck disable=SC2086 # several
	wait $readers || true
	wait_for 20 no_process "$pid"
	umount -l "$MNT"
done
check() { # WHAT
	for i in $(seq $rounds); do
		for n in 1 2 3; do
			for k in l s; do
				expect_eq "$(sha "$MNT/$i-$k$n")" "$(sim_sha "$i-$k$n")" "$i-$k$n, $1"
			done
		done
	done
}
mount_tarn
check "after the kills"
umount_tarn
sim forget ''
mount_tarn
check warm
expect_eq "$(sim 'count?op=GET')" 0 "GETs once all is cached"
umount_tarn
