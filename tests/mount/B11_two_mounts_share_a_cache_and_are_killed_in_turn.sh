# SPDX-License-Identifier: Apache-2.0
# B11: two daemons on one cache directory, killed and restarted in turn while
# both read: nothing wrong is served, what one fetched the other does not, and
# the count of bytes is right in the end.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
for n in 1 2 3 4 5 6 7 8; do
	sim_put l$n "size=6000000&seed=$n" >"$W/o"
	sim_put s$n "size=600000&seed=1$n" >"$W/o"
	sim_sha l$n >"$W/want.l$n"
	sim_sha s$n >"$W/want.s$n"
done
mount_tarn -n a cache-size=64M
mount_tarn -n b cache-size=64M
expect_eq "$(sha "$W/a/l1")" "$(cat "$W/want.l1")"
gets=$(sim 'count?op=GET')
expect_eq "$(sha "$W/b/l1")" "$(cat "$W/want.l1")"
expect_eq "$(sim 'count?op=GET')" "$gets" "GETs of the second mount"
turn=a other=b
for i in 1 2 3 4 5 6; do
	for n in 1 2 3 4 5 6 7 8; do
		{ cat "$W/$turn/l$n" "$W/$turn/s$n" >"$W/o.$n" 2>&1 || true; } &
		readers="${readers-} $!"
		{
			for k in l s; do
				[ "$(sha "$W/$other/$k$n")" = "$(cat "$W/want.$k$n")" ] ||
					echo "$k$n in round $i" >>"$W/wrong"
			done
		} &
		readers="$readers $!"
	done
	kill_tarn $turn
	# shellcheck disable=SC2086 # several
	wait $readers || true
	readers=
	mount_tarn -n $turn cache-size=64M
	[ ! -s "$W/wrong" ] || fail "wrong: $(cat "$W/wrong")"
	t=$turn turn=$other other=$t
done
for m in a b; do
	for n in 1 2 3 4 5 6 7 8; do
		expect_eq "$(sha "$W/$m/l$n")" "$(cat "$W/want.l$n")" "$m: l$n"
		expect_eq "$(sha "$W/$m/s$n")" "$(cat "$W/want.s$n")" "$m: s$n"
	done
done
bytes() { mount_stat "$W/$1" "m['ssd'][0]['bytes']"; }
agree() {
	held=$(find "$CACHE/v1" -type f -printf '%b\n' | awk '{ n += $1 } END { print n * 512 }')
	a=$(bytes a) b=$(bytes b)
	# One word for both; within what maps and names cost.
	[ "$a" = "$b" ] && [ "$a" -le $((held * 5 / 4 + 4194304)) ] &&
		[ "$a" -ge $((held * 3 / 4 - 4194304)) ]
}
wait_for 30 agree
umount_tarn a
expect_eq "$(sha "$W/b/l3")" "$(cat "$W/want.l3")" "the other goes on"
umount_tarn b
