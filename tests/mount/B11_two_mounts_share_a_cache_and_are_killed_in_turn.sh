# SPDX-License-Identifier: Apache-2.0
# B11: two daemons on one cache directory, killed in turn in the middle of
# what they fetch, while both read: nothing wrong is served, what was whole is
# not fetched again, what was torn is, and the count of bytes is right in the
# end.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
keys=
for n in 1 2 3 4 5 6; do
	sim_put l$n "size=6000000&seed=$n" >"$W/o"
	sim_put s$n "size=600000&seed=1$n" >"$W/o"
	sim_sha l$n >"$W/want.l$n"
	sim_sha s$n >"$W/want.s$n"
	keys="$keys l$n s$n"
done
sim_put whole 'size=6000000&seed=99' >"$W/o"
sim_sha whole >"$W/want.whole"
# Room for what a kill leaves counted, until the next walk.
start() { # NAME
	mount_tarn -n "$1" cache-size=256M,prefetch=off,passthrough=off
}
forget() { # of all but `whole` nothing is cached any more
	for m in a b; do
		# shellcheck disable=SC2086 # several
		(cd "$W/$m" && "$TARN" free $keys) >"$W/o"
	done
	drop_caches
}
start a
start b
expect_eq "$(sha "$W/a/whole")" "$(cat "$W/want.whole")"
gets=$(sim 'count?op=GET')
expect_eq "$(sha "$W/b/whole")" "$(cat "$W/want.whole")"
expect_eq "$(sim 'count?op=GET')" "$gets" "GETs of the second mount"
turn=a other=b
for i in 1 2 3 4; do
	# Both fetch again. Half way through the store waits with six of them.
	forget
	sim forget ''
	sim_rule '[{"name":"half","op":"GET","key":"l?","count":4,
		"after_bytes":300000,"then":"hold"},
		{"name":"half","op":"GET","key":"s?","count":2,
		"after_bytes":300000,"then":"hold"}]'
	readers='' victims=''
	for k in $keys; do
		cat "$W/$turn/$k" >"$W/o.$k" 2>"$W/err.$k" &
		victims="$victims $!"
	done
	fetching() { [ "$(sim_fired half)" -ge 3 ]; }
	wait_for 20 fetching
	for k in $keys; do
		{
			[ "$(sha "$W/$other/$k")" = "$(cat "$W/want.$k")" ] ||
				echo "$k in round $i" >>"$W/wrong"
		} &
		readers="$readers $!"
	done
	expect_ge "$(sim 'running?op=GET')" 3 "GETs under way when it is killed"
	kill_tarn $turn
	# shellcheck disable=SC2086 # several
	wait $victims || true
	failed=0
	for k in $keys; do
		[ ! -s "$W/err.$k" ] || failed=$((failed + 1))
		# What came before is of the object.
		cmp -n "$(stat -c %s "$W/o.$k")" "$W/o.$k" "$W/$other/$k" &
		readers="$readers $!"
	done
	expect_ge $failed 1 "readers that the kill cut short"
	sim 'release?rule=half' ''
	sim clear ''
	for p in $readers; do
		wait "$p" || fail "a reader of $other, or bytes before the kill"
	done
	[ ! -s "$W/wrong" ] || fail "wrong: $(cat "$W/wrong")"
	start $turn
	# What the survivor fetched is there for both; nothing is fetched twice.
	sim forget ''
	for k in $keys; do
		expect_eq "$(sha "$W/$turn/$k")" "$(cat "$W/want.$k")" "$turn: $k"
	done
	expect_eq "$(sim 'count?op=GET')" 0 "GETs after the restart"
	t=$turn turn=$other other=$t
done
# Killed with nobody who fetches the rest: the torn ones are fetched again.
forget
sim_rule '{"name":"half","op":"GET","key":"l?","after_bytes":300000,"then":"hold"}'
victims=
for n in 1 2 3 4; do
	cat "$W/$turn/l$n" >"$W/o.$n" 2>&1 &
	victims="$victims $!"
done
wait_for 20 fetching
kill_tarn $turn
# shellcheck disable=SC2086 # several
wait $victims || true
sim 'release?rule=half' ''
sim clear ''
start $turn
sim forget ''
for k in $keys; do
	expect_eq "$(sha "$W/$turn/$k")" "$(cat "$W/want.$k")" "$turn: $k"
	expect_eq "$(sha "$W/$other/$k")" "$(cat "$W/want.$k")" "$other: $k"
done
for n in 1 2 3 4; do
	expect_ge "$(sim "count?op=GET&key=l$n")" 1 "GETs of the torn l$n"
done
expect_eq "$(sim 'count?op=GET&key=whole')" 0 "GETs of what was whole"
expect_eq "$(sha "$W/a/whole" "$W/b/whole")" \
	"$(sim 'get?bucket=bucket&key=whole' >"$W/x" && sha "$W/x" "$W/x")" "whole"
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
