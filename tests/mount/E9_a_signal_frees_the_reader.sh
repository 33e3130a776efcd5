# SPDX-License-Identifier: Apache-2.0
# E9, T3: readers that wait for a store that does not answer are freed by
# SIGINT and by SIGKILL, in open, read, stat and readdir; then all is well.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put d/small 'size=1000&seed=1' >"$W/o"
sim_put d/large 'size=9000000&seed=2' >"$W/o"
sim_put e/x 'size=1000&seed=1' >"$W/o"
mount_tarn consistency=strict
ls -l "$MNT/d" >"$W/ls"
sim_rule '{"name":"gate","hold":true}'
for sig in INT KILL; do
	for c in "cat d/small" "cat d/large" "stat d/none" "ls e" "stat f/g/h"; do
		before=$(sim 'fired?rule=gate')
		# Background jobs of a shell ignore SIGINT: python undoes that.
		python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])' "${c%% *}" "$MNT/${c#* }" >"$W/out" 2>&1 &
		reader=$!
		asked() { [ "$(sim 'fired?rule=gate')" -gt "$before" ]; }
		asleep() {
			[ "$(cat "/proc/$reader/comm")" = "${c%% *}" ] &&
				grep -q '^State:.*[SD]' "/proc/$reader/status"
		}
		# A joined wait sends no request of its own: ask again by INT only.
		if [ $sig = INT ]; then wait_for 20 asked; else wait_for 20 asleep; fi
		kill -$sig $reader
		wait_for 10 no_process $reader
	done
done
sim release?rule=gate ''
sim clear ''
expect_eq "$(sha "$MNT/d/small")" "$(sim_sha d/small)"
expect_eq "$(sha "$MNT/d/large")" "$(sim_sha d/large)"
umount_tarn
