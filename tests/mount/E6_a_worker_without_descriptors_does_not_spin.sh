# SPDX-License-Identifier: Apache-2.0
# E6 for workers: with few descriptors, objects and clients enough to use them
# up are served or told to come again. With none left for accept() the worker
# waits without using the processor, and goes on when there are some.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_command prlimit
start_store
sim_put_files f 1 150 70000 0
TARN_WRAP="prlimit --nofile=64:64"
start_worker
TARN_WRAP=
pid=$(worker_pid)
expect_eq "$(awk '/Max open files/ { print $5 }' "/proc/$pid/limits")" 64 "its limit"
clients=
for n in 1 2 3 4 5; do
	{
		i=$n
		while [ $i -le 150 ]; do
			worker_curl "/bucket/f$i" -o "$W/f$i" -w '%{http_code}\n' 2>>"$W/err" || echo cut
			i=$((i + 5))
		done >"$W/codes.$n"
	} &
	clients="$clients $!"
done
# shellcheck disable=SC2086 # several
wait $clients
if cat "$W"/codes.* | grep -qvx -e 200 -e 503; then
	fail "answers: $(sort "$W"/codes.* | uniq -c)"
fi
for i in 1 50 100 150; do
	expect_eq "$(worker_code "/bucket/f$i")" 200 "f$i afterwards"
	expect_eq "$(sha "$W/answer")" "$(sim_sha f$i)" "f$i afterwards"
done

# Not one descriptor more than those that are open: they are all below this.
open=$(find "/proc/$pid/fd" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort -n)
lowest=0
for fd in $open; do
	[ "$fd" = $lowest ] || break
	lowest=$((lowest + 1))
done
prlimit --pid "$pid" --nofile=$lowest:64
ticks() { awk '{ print $14 + $15 }' "/proc/$pid/stat"; }
before=$(ticks)
for n in 1 2 3; do
	! curl -s --max-time 1 -o "$W/o" "$WORKER/-/health" || fail "served in spite of it"
done
used=$(($(ticks) - before))
# In hundredths of a second, of three.
expect_le $used 60 "processor time"
prlimit --pid "$pid" --nofile=64:64
answers() { curl -fsS --max-time 2 -o "$W/o" "$WORKER/-/health"; }
wait_for 20 answers
expect_eq "$(worker_code /bucket/f7)" 200
expect_eq "$(worker_pid)" "$pid" "the worker"
stop_worker
