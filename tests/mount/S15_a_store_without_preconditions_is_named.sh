# SPDX-License-Identifier: Apache-2.0
# S15: a store that takes changes whatever they are bound to is named by the
# mount (with rw; else by the first change), its log, tarn status and tarn
# doctor; what finds it out is one request that leaves nothing behind. doctor
# removes what it puts, also when a signal ends it, and puts nothing that it may
# not remove.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put f 'size=1000&seed=1' >"$W/o"
conditions() { mount_stat "$MNT" "m['commits']['conditions']"; }
journal() { # OPERATIONS...: on objects of ours, since it was forgotten
	sim journal >"$W/journal"
	expect_eq "$(json "$W/journal" "' '.join(e['op'] for e in (j if isinstance(j, list) else j['journal']) if '.tarn-' in e['key'])")" \
		"$*" "requests"
}
forget() { # what was found out, as on another host
	rm -f "$W"/staging/conditions-*
}
nothing_left() {
	expect_eq "$(ls -A "$1")" f "left behind"
}
mkdir -m 700 "$W/c2"
CACHE_DIR=$W/c2 mount_tarn -n look consistency=strict

# One that obeys: a put that cannot succeed, and no word of it.
sim forget ''
mount_tarn rw
journal PUT
expect_eq "$(conditions)" obeyed
! grep -q 'If-Match' "$W/mnt.out" || fail "$(cat "$W/mnt.out")"
umount_tarn

# Read only, and where nothing is bound, nothing is sent; nor by a mount that
# may be written, and is not.
sim forget ''
mount_tarn ro
umount_tarn
mount_tarn
expect_eq "$(cat "$MNT/f" | sha -)" "$(sim_sha f)"
umount_tarn
mount_tarn rw,conflict=last-wins
expect_eq "$(conditions)" unknown
umount_tarn
journal

# One that ignores them.
sim settings '{"conditions":false}'
sim forget ''
mount_tarn rw
journal PUT DELETE
grep -q 'note .*ignores If-Match: .*the last one wins' "$W/mnt.out" ||
	fail "not named: $(cat "$W/mnt.out")"
expect_eq "$(grep -c ' warn .*If-Match is ignored' "$W/mnt.log")" 1 "lines of the log"
expect_eq "$(conditions)" ignored
"$TARN" status "$MNT" | grep -q 'conditions .*ignored by the store' || fail "status"
umount_tarn
nothing_left "$W/look"

# Where nobody asked for rw, by the first change, whichever it is; once.
named() { [ "$(conditions)" = ignored ]; }
for change in "mkdir $MNT/d" "rmdir $MNT/d"; do
	sim forget ''
	forget
	rm -f "$W/mnt.log"
	mount_tarn
	expect_eq "$(conditions)" unknown
	journal
	$change
	wait_for 20 named
	$change 2>"$W/o" || true
	umount_tarn
	journal PUT DELETE
	expect_eq "$(grep -c ' warn .*If-Match is ignored' "$W/mnt.log")" 1 "lines of the log"
done
nothing_left "$W/look"

doctor() { # EXIT OPTIONS: what it printed is in $W/doctor
	rc=0
	timeout 100 "$TARN" doctor "$SOURCE" \
		-o "$STORE_OPTS,cache-dir=$CACHE,passthrough=off,$2" \
		>"$W/doctor" 2>&1 || rc=$?
	expect_eq "$rc" "$1" "exit of doctor: $(cat "$W/doctor")"
}
says() { # RESULT CHECK [WORDS]
	grep -qE "^$1  $2 .*${3-}" "$W/doctor" ||
		fail "no '$1 $2 ${3-}' in: $(cat "$W/doctor")"
}
sim forget ''
doctor 1 rw
says PASS put
says FAIL conditions 'If-None-Match is ignored, If-Match ignored: .*last-wins'
journal DELETE PUT HEAD PUT PUT DELETE
doctor 0 rw,conflict=last-wins
says PASS conditions 'does not need them'
sim settings '{"conditions":true}'
sim forget ''
doctor 0 rw
says PASS put 'put, told of and removed'
says PASS conditions 'are obeyed'
nothing_left "$W/look"
sim forget ''
doctor 0 ro
says SKIP put 'read only'
says SKIP staging-dir 'read only'
journal
# A mount may be written, so that is what is tried.
doctor 0 log-level=info
says PASS put 'put, told of and removed'
journal DELETE PUT HEAD PUT PUT DELETE

# One that has none of it: only last-wins can write there.
sim_rule '{"name":"none","op":"PUT","key":".tarn-*","status":501,"code":"NotImplemented"}'
mount_tarn rw
expect_fired none
grep -q 'note .*refuses If-Match' "$W/mnt.out" || fail "$(cat "$W/mnt.out")"
expect_eq "$(conditions)" refused
umount_tarn
sim clear ''

# Without the right to write, or to remove.
forget
sim_rule '{"name":"no","op":"PUT","status":403,"code":"AccessDenied"}'
mount_tarn rw
grep -q 'note .*may not write directly below' "$W/mnt.out" || fail "$(cat "$W/mnt.out")"
expect_eq "$(conditions)" unknown
umount_tarn
doctor 1 rw
says FAIL put 'AccessDenied.*; give these keys the right to write'
says SKIP conditions
expect_fired no 2
# Who only reads need not have it.
doctor 0 log-level=info
says SKIP put 'AccessDenied.*with rw this is a failure'
says SKIP conditions
expect_fired no 3
sim clear ''
sim_rule '{"name":"keep","op":"DELETE","status":403,"code":"AccessDenied"}'
sim forget ''
doctor 1 rw
says FAIL put 'nothing was put.*; give these keys the right to remove'
expect_fired keep
journal DELETE
sim clear ''

# Interrupted while it waits for its put: gone all the same.
sim_rule '{"name":"gate","op":"PUT","count":1,"hold":true}'
python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])' "$TARN" doctor "$SOURCE" \
	-o "$STORE_OPTS,cache-dir=$CACHE,passthrough=off,rw" >"$W/o" 2>&1 &
doctor=$!
held() { [ "$(sim_fired gate)" -ge 1 ]; }
wait_for 20 held
kill -INT $doctor
sim 'release?rule=gate' ''
rc=0
wait $doctor || rc=$?
expect_eq "$rc" 130 "exit of an interrupted doctor"
sim clear ''
nothing_left "$W/look"

# A store that hangs delays a mount for seconds, not for its deadline.
forget
sim_rule '{"name":"hang","op":"PUT","hold":true,"apply":false}'
mount_tarn rw
expect_fired hang
expect_eq "$(conditions)" unknown
sim 'release?rule=hang' ''
sim clear ''
umount_tarn
umount_tarn look
