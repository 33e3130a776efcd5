# SPDX-License-Identifier: Apache-2.0
# C14, S22, INV5: the daemon dies while it moves a directory. Each object is
# there under its old name or its new one at any time; the next mount ends the
# move, and leaves no old name, no upload and no record behind. An error half
# way is told, what was moved stays moved, and nothing goes on by itself.
# stores: objsim versitygw
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
mkdir -p "$W/src/old/sub/deep"
n=0
while [ $n -lt 24 ]; do
	n=$((n + 1))
	echo "number $n" >"$W/src/old/f$n"
	echo "below $n" >"$W/src/old/sub/deep/f$n"
done
make_file "$W/other" 1000 5

no_records() { [ -z "$(find "$W/staging" -name '*.rename*')" ]; }
keys() { s3 keys | grep -c "^$1/" || true; }
sums() { (cd "$1" && find . -type f | sort | xargs -d '\n' sha256sum); }
want=$(sums "$W/src/old")

fresh() {
	s3 empty
	store_put_tree "$W/src"
}

die_at() { # POINT:N
	fresh
	start_watch old/f1:new/f1 "$W/src/old/f1"
	mount_to_die "$1" rw
	if mv "$MNT/old" "$MNT/new" 2>"$W/err"; then
		fail "renamed by the dead at $1"
	fi
	has_died
	expect_ge "$(($(keys old) + $(keys new)))" 48 "objects at $1"
	mount_tarn rw
	wait_for 60 no_records
	expect_eq "$(keys old) $(keys new) $(s3 keys | wc -l)" "0 48 48" "keys after $1"
	expect_eq "$(s3 uploads)" "" "uploads after $1"
	expect_eq "$(sums "$MNT/new")" "$want" "the new directory after $1"
	[ ! -e "$MNT/old" ] || fail "the old directory is there after $1"
	umount_tarn
	expect_eq "$(find "$W/staging" -mindepth 2 -type f)" "" "left in the staging after $1"
	stop_watch
}

die_at rename-recorded:1
die_at rename-copied:20
die_at rename-removed:48
die_at rename-done:1

# What was written under an old name since stays, and so does what somebody
# wrote under a new one.
fresh
mount_to_die rename-recorded:1 rw
! mv "$MNT/old" "$MNT/new" 2>"$W/err" || fail "renamed by the dead"
has_died
store_put old/f1 "$W/other"
store_put new/f2 "$W/other"
mount_tarn rw
wait_for 60 no_records
expect_eq "$(keys old) $(keys new)" "2 47" "keys beside those of others"
cmp "$W/other" "$MNT/old/f1"
cmp "$W/src/old/f2" "$MNT/old/f2"
cmp "$W/other" "$MNT/new/f2"
umount_tarn
expect_eq "$kills" 5 "times it was killed"
[ "$STORE_KIND" = objsim ] || exit 0

# ---- errors half way ------------------------------------------------------

# 5xx at each step are tried again.
fresh
mount_tarn rw
for op in LIST COPY HEAD DELETE; do
	sim_rule "{\"name\":\"busy$op\",\"op\":\"$op\",\"count\":5,\"status\":503,\"code\":\"SlowDown\"}"
done
sim_rule '{"name":"lost","op":"COPY","nth":20,"count":1,"status":500,"code":"InternalError"}'
mv "$MNT/old" "$MNT/new"
for op in LIST COPY DELETE; do
	expect_fired "busy$op" 1
done
expect_fired lost
sim clear ''
expect_eq "$(keys old) $(keys new)" "0 48" "keys after 5xx"
expect_eq "$(sums "$MNT/new")" "$want" "after 5xx"

# Refused half way, to copy or to remove: one line says so.
told=0
is_told() {
	[ "$(grep -c 'rename old/ to new/ ended after .* of 48 objects: Permission denied' "$W/mnt.log")" = $told ]
}
for op in COPY DELETE; do
	fresh
	"$TARN" invalidate "$MNT/"
	sim_rule "{\"name\":\"no\",\"op\":\"$op\",\"nth\":30,\"status\":403,\"code\":\"AccessDenied\"}"
	if python3 -c 'import os, sys; os.rename(sys.argv[1], sys.argv[2])' \
		"$MNT/old" "$MNT/new" 2>"$W/err"; then
		fail "renamed without the right to"
	fi
	grep -q PermissionError "$W/err"
	expect_fired no
	sim clear ''
	told=$((told + 1))
	wait_for 5 is_told
	no_records || fail "a record of what was told to have failed"
	# What was moved stays so, and each file is at one of both at least.
	for f in $(cd "$W/src/old" && find . -type f); do
		cmp "$W/src/old/$f" "$MNT/new/$f" 2>"$W/o" ||
			cmp "$W/src/old/$f" "$MNT/old/$f"
	done
	expect_ge "$(keys new)" 20 "moved before the error"
	expect_ge "$(keys old)" 1 "not moved after the error"
done

# Ctrl-C frees who waits; the move goes on and is seen when it is done.
fresh
"$TARN" invalidate "$MNT/"
ls -R "$MNT" >"$W/o"
sim_rule '{"name":"gate","op":"COPY","hold":true}'
held() { [ "$(sim_fired gate)" -ge 1 ]; }
python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.rename(sys.argv[1], sys.argv[2])' "$MNT/old" "$MNT/new" &
mover=$!
wait_for 20 held
kill -INT $mover
wait_for 5 no_process $mover
# Who changes a name below it waits until it is over.
rm "$MNT/old/f24" 2>"$W/o" &
remover=$!
sim release?rule=gate ''
sim clear ''
all_moved() { [ "$(keys old)" = 0 ] && no_records; }
wait_for 20 all_moved
wait $remover || true
gone() { [ ! -e "$MNT/old" ] && [ -e "$MNT/new/f1" ]; }
wait_for 5 gone
rm -f "$MNT/new/f24"
expect_eq "$(sums "$MNT/new")" "$(echo "$want" | grep -v ' ./f24$')"
no_errors mnt
umount_tarn
