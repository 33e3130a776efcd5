# SPDX-License-Identifier: Apache-2.0
# tarn status HOST:PORT and tarn top HOST:PORT look at a worker: what it
# answered and from where, its jobs, what it holds; as text, JSON and a screen.
# Where none is, the fix is named.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
start_store
for n in 1 2 3 4 5; do
	sim_put f$n "size=200000&seed=$n" >"$W/o"
done
start_worker
at=${WORKER#http://}
for n in 1 2 3 4 5; do
	worker_curl /bucket/f$n -f -o "$W/body"
done
expect_eq "$(worker_post /-/load '{"keys": [""], "job": "all-of-it"}')" 202
loaded() {
	"$TARN" status "$at" >"$W/text" 2>"$W/err" || fail "$(cat "$W/err")"
	grep -q 'job  *all-of-it: load done, 977 KiB of 977 KiB, 5 files, 0 failed' "$W/text"
}
wait_for 30 loaded
for words in "^s3://bucket by worker $at" "listens  *at $at, known as $at" \
	'answered  *977 KiB: .* from the ssd, .* from the store; 1 requests now' \
	'store  *5 GET' 'ssd .* in .*worker, ok' 'memory'; do
	grep -q "$words" "$W/text" || fail "no '$words' in $(cat "$W/text")"
done
"$TARN" status "$at" --json >"$W/status.json"
expect_eq "$(json "$W/status.json" "j['worker']['reads']['bytes']")" 1000000
expect_eq "$(json "$W/status.json" "j['worker']['jobs'][0]['files']")" 5
expect_eq "$(json "$W/status.json" "'mounts' in j")" False

# What is read after the first look is in the second.
"$TARN" top "$at" -d 3 -n 2 --json >"$W/both.json" &
top=$!
wait_for 20 test -s "$W/both.json"
for n in 1 2 3 4 5; do
	worker_curl /bucket/f$n -f -o "$W/body"
done
wait $top || fail "exit of top"
tail -n 1 "$W/both.json" >"$W/top.json"
expect_eq "$(json "$W/top.json" "[m['worker'] for m in j['workers']]")" "['$at']"
expect_eq "$(json "$W/top.json" "round(sum(m['per_s']['ssd_bytes'] * m['seconds'] for m in j['workers']))")" 1000000
"$TARN" top "$at" -n 1 -d 0.2 >"$W/lines"
grep -q "$at  .*held 984 KiB of" "$W/lines" || fail "$(cat "$W/lines")"
if infocmp xterm >"$W/o" 2>&1; then
	python3 "$HELPERS/terminal.py" xterm 24x80 "see:s3://bucket by worker $at" \
		'see:memory' keys:q -- "$TARN" top "$at" >"$W/term" 2>&1 ||
		fail "$(cat "$W/term")"
fi

# A key that nobody needs for this is not missed, and not told.
TARN_CLUSTER_KEY_FILE=$W/none "$TARN" status "$at" >"$W/o" ||
	fail "a status without the key"
TARN_CLUSTER_KEY_FILE=$W/cluster.key "$TARN" status "$at" --json >"$W/o"
! grep -q "$CLUSTER_KEY" "$W/o" || fail "the key was told"

"$TARN" top "$at" -d 0.2 >"$W/lines" 2>"$W/err" &
top=$!
wait_for 10 test -s "$W/lines"
stop_worker
wait $top && fail "top went on" || rc=$?
expect_eq "$rc" 1
grep -q "no worker answers at $at any more" "$W/err" || fail "$(cat "$W/err")"
for command in status top; do
	rc=0
	"$TARN" $command "$at" >"$W/o" 2>"$W/err" || rc=$?
	expect_eq "$rc" 1 "exit of $command"
	grep -q "no worker answers at $at; does .tarn worker. run" "$W/err" ||
		fail "$command: $(cat "$W/err")"
done
