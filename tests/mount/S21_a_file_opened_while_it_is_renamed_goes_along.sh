# SPDX-License-Identifier: Apache-2.0
# S16, S21, C16: a file that the store has is opened for writing while the
# store still copies it to its new name: what is written is there under that.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
CACHE_DIR=$W/c1 mount_tarn -n one rw
make_file "$W/small" 100000 2
held() { [ "$(sim_fired gate)" -ge 1 ]; }
cp "$W/small" "$W/one/old"
{ cat "$W/small"; echo end; } >"$W/want"
sim_rule '{"name":"gate","op":"COPY","hold":true}'
mv "$W/one/old" "$W/one/new" &
mover=$!
wait_for 20 held
mkfifo "$W/go"
python3 - "$W/one/old" "$W/go" >"$W/said" 2>&1 <<'PY' &
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
print("opened", flush=True)
os.write(fd, b"end\n")
open(sys.argv[2]).read()
try:
    os.close(fd)
    print("closed")
except OSError as e:
    print("close:", e)
PY
writer=$!
wait_for 20 grep -q opened "$W/said"
sim release?rule=gate ''
wait $mover || fail "mv failed"
: >"$W/go"
wait $writer
sim clear ''
expect_eq "$(tail -n 1 "$W/said")" closed "the close"
expect_eq "$(sim_sha new)" "$(sha "$W/want")" "the new name"
expect_eq "$(sha "$W/one/new")" "$(sha "$W/want")" "the new name, read"
[ ! -e "$W/one/old" ] || fail "the old name is there"
expect_eq "$(sim 'head?bucket=bucket&key=old' | grep -c size)" 0 "the old name in the store"
