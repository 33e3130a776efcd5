# SPDX-License-Identifier: Apache-2.0
# A worker is killed (-9) in the middle of a load into the ring: those that are
# left do its part, and what is read back is all of it. One that comes back
# knows of no job and is given one again. What was held is not fetched twice.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
start_store
sim_put_files d/ 0 59 110000 0
total=6600000 pages=120
for name in one two three; do
	start_worker -n $name
	eval "$name=${WORKER#http://}"
done
# shellcheck disable=SC2154 # set by name
ring="workers=$one+$two+$three,cluster-key-file=$W/cluster.key"
start_load() { # with the store holding back half of the objects
	sim_rule '{"name":"gate","op":"GET","key":"d/*5","hold":true}'
	"$TARN" load --to ring --verify --json s3://bucket/d -o "$ring" \
		>"$W/result.json" 2>"$W/err" &
	load=$!
	begun() { [ "$(sim 'fired?rule=gate')" -ge 3 ]; }
	wait_for 30 begun
}
field() {
	json "$W/result.json" "j['$1']"
}
ended_well() { # WORKERS
	wait $load || fail "the load: $(cat "$W/err" "$W/result.json")"
	expect_eq "$(field files)" 60
	expect_eq "$(field bytes)" $total
	expect_eq "$(field verified_bytes)" $total "bytes read back"
	expect_eq "$(field verified_pages)" $pages "pages read back"
	expect_eq "$(field failed)" 0
	expect_eq "$(field workers)" "$1" "workers at the end"
}

kill_two() {
	killed=$(worker_pid two)
	kill -9 "$killed"
	wait_for 20 no_process "$killed"
}

start_load
kill_two
told() { grep -q "$two has lost its part" "$W/err"; }
wait_for 30 told
sim 'release?rule=gate' ''
sim 'clear?rule=gate' ''
ended_well 2
grep -q "$two.*it is left out" "$W/err" || fail "$(cat "$W/err")"
# Each object once, but for those that the dead one had.
n=0 twice=0
while [ $n -lt 60 ]; do
	gets=$(sim "count?op=GET&key=d/$n")
	expect_ge "$gets" 1 "GETs of d/$n"
	expect_le "$gets" 2 "GETs of d/$n"
	[ "$gets" = 1 ] || twice=$((twice + 1))
	n=$((n + 1))
done
expect_ge "$twice" 1 "objects that the dead one had"
expect_le "$twice" 40 "objects that were fetched twice"
gets=$(sim 'count?op=GET')
"$TARN" load --to ring --json s3://bucket/d -o "$ring" >"$W/result.json" 2>"$W/err"
expect_eq "$(sim 'count?op=GET')" "$gets" "GETs of the same again"

# One that is back, at its port, has what it had, and gets its part again.
WORKER_LISTEN=$two start_worker -n two
"$TARN" free --from ring --json s3://bucket/d -o "$ring" >"$W/result.json"
expect_eq "$(field workers)" 3 "workers that freed"
start_load
kill_two
WORKER_LISTEN=$two start_worker -n two
wait_for 30 told
sim 'release?rule=gate' ''
sim 'clear?rule=gate' ''
ended_well 3
for name in one two three; do
	stop_worker $name
done
