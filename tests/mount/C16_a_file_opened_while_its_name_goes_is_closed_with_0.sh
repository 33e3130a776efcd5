# SPDX-License-Identifier: Apache-2.0
# C16, S19: a file that the store has is opened for writing while it is being
# removed, or replaced by a rename: its bytes are dropped, and close() is 0.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
CACHE_DIR=$W/c1 mount_tarn -n one rw
make_file "$W/small" 100000 2
make_file "$W/else" 50000 3
held() { [ "$(sim_fired gate)" -ge 1 ]; }
cat >"$W/open.py" <<'PY'
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
print("opened", flush=True)
os.write(fd, b"end\n") # the kernel may have it wait for the removal
open(sys.argv[2]).read()
try:
    os.close(fd)
    print("closed")
except OSError as e:
    print("close:", e)
PY
# same: the new file is of the same bytes as the old one.
for how in rm mv same; do
	cp "$W/small" "$W/one/$how.file"
	cp "$W/else" "$W/one/$how.other"
	[ $how != same ] || cp "$W/small" "$W/one/same.other"
	mkfifo "$W/go.$how"
	if [ $how = rm ]; then
		sim_rule '{"name":"gate","op":"DELETE","hold":true}'
		rm "$W/one/rm.file" &
	else
		sim_rule '{"name":"gate","op":"COPY","hold":true}'
		mv "$W/one/$how.other" "$W/one/$how.file" &
	fi
	changer=$!
	wait_for 20 held
	python3 "$W/open.py" "$W/one/$how.file" "$W/go.$how" \
		>"$W/said.$how" 2>&1 &
	writer=$!
	wait_for 20 grep -q opened "$W/said.$how"
	sim release?rule=gate ''
	wait $changer || fail "$how failed"
	: >"$W/go.$how"
	wait $writer
	sim clear ''
	expect_eq "$(tail -n 1 "$W/said.$how")" closed "the close beside $how"
done
[ ! -e "$W/one/rm.file" ] || fail "what was removed is there"
expect_eq "$(sim 'head?bucket=bucket&key=rm.file' | grep -c size)" 0 "in the store"
expect_eq "$(sim_sha mv.file)" "$(sha "$W/else")" "what took its place"
expect_eq "$(sha "$W/one/mv.file")" "$(sha "$W/else")" "that, read"
expect_eq "$(sim_sha same.file)" "$(sha "$W/small")" "the same bytes"
