# SPDX-License-Identifier: Apache-2.0
# tarn top: a screen on terminals of two kinds that follows their size and
# ends on q, on a signal and with its terminal; lines elsewhere, JSON when
# asked; the numbers are those of what was done meanwhile.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
for n in 1 2 3 4 5; do
	sim_put f$n "size=200000&seed=$n" >"$W/o"
done
mount_tarn passthrough=off
terminal() { # WANTED-EXIT TERM SIZE STEP... -- ARGUMENT... of top
	want=$1
	shift
	set +e
	python3 "$HELPERS/terminal.py" "$@" >"$W/term" 2>&1
	rc=$?
	set -e
	expect_eq "$rc" "$want" "exit of terminal $*: $(cat "$W/term")"
}
for t in xterm linux; do
	infocmp $t >"$W/o" 2>&1 || {
		echo "no terminfo of $t"
		continue
	}
	terminal 0 $t 24x80 "see:s3://bucket on $MNT" 'see:memory' \
		size:8x40 see:tarn size:50x132 see:handles keys:q -- \
		"$TARN" top "$MNT"
	terminal 0 $t 24x80 see:hit -- "$TARN" top "$MNT" -n 2 -d 0.2
	terminal 0 $t 24x80 see:hit signal:TERM -- "$TARN" top "$MNT"
	terminal 0 $t 24x80 see:hit signal:INT -- "$TARN" top "$MNT"
	# One line is enough, and none.
	terminal 0 $t 1x10 see:tarn keys:jjkk keys:q -- "$TARN" top "$MNT"
done
# The terminal goes away: nothing goes on without it.
terminal 129 xterm 24x80 see:hit hangup -- "$TARN" top "$MNT"
# One that cannot show a screen has lines. (ncurses loses a block there.)
(
	export ASAN_OPTIONS="$ASAN_OPTIONS:detect_leaks=0"
	terminal 0 nosuchterm 24x80 'see:opens/s' -- "$TARN" top "$MNT" -n 1
)
terminal 0 dumb 24x80 'see:opens/s' -- "$TARN" top "$MNT" -n 1

# No terminal: a line a second; what was done after the first is in the next.
"$TARN" top "$MNT" -d 3 -n 2 --json >"$W/both.json" &
top=$!
wait_for 20 test -s "$W/both.json"
cat "$MNT"/f? >"$W/o"
wait $top || fail "exit of top"
expect_eq "$(wc -l <"$W/both.json")" 2 "lines"
tail -n 1 "$W/both.json" >"$W/top.json"
bytes=$(json "$W/top.json" "round(sum(m['per_s']['read_bytes'] * m['seconds'] for m in j['mounts']))")
expect_eq "$bytes" 1000000 "bytes read meanwhile"
expect_eq "$(json "$W/top.json" "round(sum(m['per_s']['get'] * m['seconds'] for m in j['mounts']))")" 5 "GETs meanwhile"
expect_eq "$(json "$W/top.json" "[m['since_start'] for m in j['mounts']]")" "[False]"
"$TARN" top "$MNT" -n 3 -d 0.2 >"$W/lines"
expect_eq "$(grep -c "$MNT .*kernel 0 opens/s .*hit - .*handles 0" "$W/lines")" 3

# Wrong usage, and a mount that goes away.
for bad in '-d 0' '-d x' '-n 0' '-n 1x' '--jsn'; do
	# shellcheck disable=SC2086 # words
	"$TARN" top "$MNT" $bad >"$W/o" 2>&1 && rc=0 || rc=$?
	expect_eq "$rc" 2 "exit for $bad"
done
"$TARN" top "$MNT" -d 0.2 >"$W/lines" 2>"$W/err" &
top=$!
wait_for 10 test -s "$W/lines"
umount_tarn
wait $top && fail "top went on" || rc=$?
expect_eq "$rc" 1
grep -q 'mounted no more' "$W/err" || fail "$(cat "$W/err")"
