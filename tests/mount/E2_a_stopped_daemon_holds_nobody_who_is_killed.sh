# SPDX-License-Identifier: Apache-2.0
# E2: the daemon is stopped (SIGSTOP) while programs write, read and close: who
# waits can be killed, nothing is lost of what others do, and when it goes on,
# all of them do, with the right bytes.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
need_root "the stacks of who waits"
[ -e /proc/self/stack ] || skip "no stacks in /proc"
start_store
make_file "$W/data" 20000000 1
store_put there "$W/data"
mount_tarn rw,part-size=5M,passthrough=off
pid=$(mount_pid)
at_exit "kill -CONT $pid 2>$W/o"
cat >"$W/on.py" <<'PY'
"""Write what SOURCE has, slowly, with a sync now and then."""
import os, sys
data = open(sys.argv[1], "rb").read()
fd = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT)
for at in range(0, len(data), 100000):
    os.write(fd, data[at:at + 100000])
    print(at, flush=True)
    if at % 4000000 == 0:
        os.fsync(fd)
os.close(fd)
PY
# begin NAME COMMAND...: in the background; its process in the variable NAME.
begin() {
	name=$1
	shift
	"$@" >"$W/$name.out" 2>"$W/$name.err" 8>&- 9>&- &
	eval "$name=$!"
}
begin writer python3 "$W/on.py" "$W/data" "$MNT/on"
wait_for 30 test -s "$W/writer.out"
kill -STOP "$pid"
stopped() { grep -q '^State:.*T' "/proc/$pid/status"; }
wait_for 10 stopped
# Each waits for an answer in another way. First those that are killed.
begin k1 cp "$W/data" "$MNT/killed"
begin k2 cat "$MNT/there"
begin k3 ls "$MNT"
begin k4 stat "$MNT/absent"
begin k5 sh -c "echo more >>'$MNT/there'"
begin k6 mv "$MNT/there" "$MNT/moved"
# And those that are not.
begin w1 cp "$W/data" "$MNT/copied"
begin w2 sha256sum "$MNT/there"
begin w3 ls "$MNT"
# In the kernel, which is where they are to be killed.
waits() {
	for p in "$@"; do
		grep -q fuse "/proc/$p/stack" || return 1
	done
}
# shellcheck disable=SC2154 # by eval
wait_for 20 waits "$k1" "$k2" "$k3" "$k4" "$k5" "$k6" "$w1" "$w2" "$w3" "$writer"
# shellcheck disable=SC2154
for p in $k1 $k2 $k3 $k4 $k5 $k6; do
	kill -9 "$p"
	wait_for 5 no_process "$p"
done
stopped || fail "it was not stopped all the time"
kill -CONT "$pid"
# shellcheck disable=SC2154
for p in $w1 $w2 $w3 $writer; do
	wait_for 60 no_process "$p"
	wait "$p" || fail "one failed: $(cat "$W"/*.err)"
done
expect_eq "$(cut -d' ' -f1 "$W/w2.out")" "$(sha "$W/data")" "what was read"
grep -qx there "$W/w3.out" || fail "listed: $(cat "$W/w3.out")"
for f in on copied there; do
	expect_eq "$(sim_sha $f)" "$(sha "$W/data")" "$f"
	cmp "$W/data" "$MNT/$f"
done
# What was killed before it was read did nothing.
[ ! -e "$MNT/moved" ] || fail "a killed mv has moved it"
expect_eq "$(mount_pid)" "$pid" "the daemon"
umount_tarn
expect_eq "$(sim uploads)" 0 "uploads left"
