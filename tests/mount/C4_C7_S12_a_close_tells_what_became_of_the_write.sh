# SPDX-License-Identifier: Apache-2.0
# C4, C7, C8, A13, S12: faults of the store while a file is committed. What
# passes is survived without a word; what stays is close's error, the store
# keeps the old version, and what was written is kept; Ctrl-C frees who waits,
# and the commit goes on. No upload is left.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
mount_tarn rw,commit-timeout=5s,stall-timeout=1s
make_file "$W/small" 300000 1
make_file "$W/large" 30000000 2
want_small=$(sha "$W/small") want_large=$(sha "$W/large")
uploads() { sim uploads; }

# What passes: a refusal, a cut, a stall, an answer that was lost.
n=0
for fault in '"status":503' '"status":500' '"then":"reset"' '"lost":true' \
	'"delay_ms":1500' '"apply":true,"then":"reset"' '"corrupt":true'; do
	n=$((n + 1))
	for op in PUT PART COMPLETE; do
		[ "$op $fault" != 'COMPLETE "corrupt":true' ] || continue
		src=large
		[ $op != PUT ] || src=small
		sim_rule "{\"name\":\"$op$n\",\"op\":\"$op\",\"count\":1,$fault}"
		cp "$W/$src" "$MNT/$op$n" || fail "$op after $fault"
		expect_fired "$op$n"
		expect_eq "$(sim_sha "$op$n")" "$(sha "$W/$src")" "$op after $fault"
	done
	sim clear ''
done
expect_eq "$(uploads)" 0 "uploads left"
no_errors mnt

# What stays: the error is close's, or the sync's before it.
cat >"$W/close.py" <<'PY'
import errno, os, sys
path, size = sys.argv[1], int(sys.argv[2])
fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
for i in range(0, size, 1 << 20):
    os.write(fd, b"n" * min(1 << 20, size - i))
said = []
for what in os.fsync, os.close:
    try:
        what(fd)
        said.append("0")
    except OSError as e:
        said.append(errno.errorcode[e.errno])
print(*said)
PY
n=0
for op in PUT PART COMPLETE CREATE_UPLOAD; do
	n=$((n + 1))
	size=20000000 old=$(sim_sha "PUT$n")
	[ $op != PUT ] || size=1000
	sim_rule "{\"name\":\"no-$op\",\"op\":\"$op\",\"status\":403,\"code\":\"AccessDenied\"}"
	expect_eq "$(python3 "$W/close.py" "$MNT/PUT$n" $size)" "EACCES EACCES" "$op"
	expect_fired "no-$op"
	sim clear ''
	expect_eq "$(sim_sha "PUT$n")" "$old" "after a refused $op"
	expect_eq "$(cat "$MNT/PUT$n" | sha -)" "$old" "read after a refused $op"
done
expect_eq "$(find "$W/staging" -name '*.data' | wc -l)" 4 "files kept"
failed=$(mount_stat "$MNT" "[(f['path'], f['error'], f['bytes']) for f in m['commits']['failed']][3]")
expect_eq "$failed" "('PUT1', 'Permission denied', 1000)" "told by status"
"$TARN" status "$MNT" | grep -q 'not in the store: PUT1, .*Permission denied'
expect_eq "$(uploads)" 0 "uploads left"

# A store that is dead for longer than the deadline.
sim_rule '{"name":"dead","op":"PUT","hold":true,"apply":false}'
began=$(date +%s)
expect_eq "$(python3 "$W/close.py" "$MNT/dead" 1000)" "ETIMEDOUT ETIMEDOUT"
expect_le $(($(date +%s) - began)) 60 "seconds until it was told"
sim release?rule=dead ''
sim clear ''

# Ctrl-C: the close is over at once, the commit goes on.
sim_rule '{"name":"gate","op":"PUT","hold":true}'
python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp("cp", ["cp"] + sys.argv[1:])' "$W/small" "$MNT/goes-on" &
writer=$!
held() { [ "$(sim_fired gate)" -ge 1 ]; }
wait_for 20 held
kill -INT $writer
wait_for 5 no_process $writer
sim release?rule=gate ''
sim clear ''
there() { [ "$(sim_sha goes-on)" = "$want_small" ]; }
wait_for 20 there
expect_eq "$(cat "$MNT/goes-on" | sha -)" "$want_small"

# All is well again.
cp "$W/large" "$MNT/well"
expect_eq "$(sim_sha well)" "$want_large"
"$TARN" recover --staging-dir "$W/staging" --discard "$MNT/PUT1"
cp "$W/small" "$MNT/PUT1"
expect_eq "$(sim_sha PUT1)" "$want_small"
umount_tarn
