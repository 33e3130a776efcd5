# SPDX-License-Identifier: Apache-2.0
# E9, T3: lookups in one directory are asked side by side. A kernel that was
# not told PARALLEL_DIROPS would send one at a time and let the others wait
# where no signal reaches them (libfuse before 3.17 does not tell it).
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put x "size=1000&seed=1" >"$W/o"
mount_tarn consistency=strict
ls "$MNT" >"$W/ls"
sim_rule '{"name":"gate","op":"HEAD","hold":true}'
stat "$MNT/none1" >"$W/out" 2>&1 &
first=$!
asked() { [ "$(sim 'fired?rule=gate')" -ge "$1" ]; }
wait_for 20 asked 1
stat "$MNT/none2" >"$W/out" 2>&1 &
second=$!
wait_for 20 asked 2
kill -9 $second
wait_for 2 no_process $second
kill -9 $first
wait_for 2 no_process $first
sim release?rule=gate ''
sim clear ''
umount_tarn
