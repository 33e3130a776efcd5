# SPDX-License-Identifier: Apache-2.0
# C16: a file that the store has is written and closed, and unlinked while that
# commit is on its way: its bytes are dropped, and close() is 0. If it cannot be
# removed they are not.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
CACHE_DIR=$W/c1 mount_tarn -n one rw
make_file "$W/small" 100000 2
held() { [ "$(sim_fired gate)" -ge 1 ]; }
cp "$W/small" "$W/one/there"
sim_rule '{"name":"gate","op":"PUT","hold":true}'
cat >"$W/write.py" <<'PY'
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
os.pwrite(fd, b"changed", 10)
try:
    os.close(fd)
    print("closed")
except OSError as e:
    print("close:", e)
PY
python3 "$W/write.py" "$W/one/there" >"$W/said" 2>&1 &
writer=$!
wait_for 20 held
# The store removes it at once, and its answer takes its time.
sim_rule '[{"name":"gate","op":"PUT","hold":true},
{"name":"slow","op":"DELETE","count":1,"apply":true,"status":503},
{"name":"gate2","op":"DELETE","hold":true}]'
rm "$W/one/there" &
remover=$!
again() { [ "$(sim_fired gate2)" -ge 1 ]; }
# It may be removed while the commit is on its way, or after that.
tries=0
while ! again && [ $tries -lt 10 ]; do
	sleep 0.1
	tries=$((tries + 1))
done
sim release?rule=gate ''
wait_for 20 again
sleep 0.5 # the commit would have found it gone
sim release?rule=gate2 ''
wait $writer
wait $remover || fail "rm failed"
sim clear ''
[ ! -e "$W/one/there" ] || fail "it is back"
expect_eq "$(sim 'head?bucket=bucket&key=there' | grep -c size)" 0 "in the store"
expect_eq "$(cat "$W/said")" closed "the close"
! grep "cannot be committed" "$W/one.log" || fail "the log tells of a failure"

# The store does not let it be removed: the commit goes on, and it is there.
cp "$W/small" "$W/one/stays"
sim_rule '{"name":"gate","op":"PUT","hold":true}'
python3 "$W/write.py" "$W/one/stays" >"$W/said" 2>&1 &
writer=$!
wait_for 20 held
sim_rule '[{"name":"gate","op":"PUT","hold":true},
{"name":"denied","op":"DELETE","status":403}]'
rm "$W/one/stays" 2>"$W/o" &
remover=$!
sleep 0.5
sim release?rule=gate ''
if wait $remover; then fail "rm worked"; fi
sim clear ''
wait $writer
expect_eq "$(cat "$W/said")" closed "the close of what stays"
{ head -c 10 "$W/small"; printf changed; tail -c +18 "$W/small"; } >"$W/want"
expect_eq "$(sim_sha stays)" "$(sha "$W/want")" "what stays"
