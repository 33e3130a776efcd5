# SPDX-License-Identifier: Apache-2.0
# E4: in a cgroup of 128 MiB, 64 readers: all bytes right, the daemon lives,
# its own count stays within its budget.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
need_root "a cgroup"
start_store
# cgroup v2, or the memory controller of v1.
group='' limit_file='' top=/sys/fs/cgroup
for d in $top $top/unified; do
	grep -qw memory "$d/cgroup.controllers" 2>"$W/o" || continue
	echo +memory >"$d/cgroup.subtree_control" 2>"$W/o" || true
	group=$d/tarn-test-$$ limit_file=memory.max events=memory.events
done
if [ -z "$group" ] && [ -f $top/memory/memory.limit_in_bytes ]; then
	group=$top/memory/tarn-test-$$ limit_file=memory.limit_in_bytes
	events=memory.oom_control
fi
[ -n "$group" ] || skip "no memory controller"
mkdir "$group" || skip "cannot make a cgroup"
# Once the daemon has left it.
at_exit "umount -l $MNT 2>$W/o; timeout 20 sh -c 'until rmdir $group; do sleep 0.1; done'"
[ -f "$group/$limit_file" ] || skip "no memory controller for a cgroup"
echo 134217728 >"$group/$limit_file"
i=0
while [ $i -lt 16 ]; do
	i=$((i + 1))
	sim_put f$i "size=9000000&seed=$i" >"$W/o"
	sim_sha f$i >"$W/want.$i"
done
printf '#!/bin/sh\necho $$ >"%s/cgroup.procs"\nexec "$@"\n' "$group" >"$W/in-group"
chmod +x "$W/in-group"
TARN_WRAP=$W/in-group
mount_tarn passthrough=off
pid=$(mount_pid)
grep -qF "${group##*/}" "/proc/$pid/cgroup" || fail "not in the cgroup"
limit=$(mount_stat "$MNT" "m['memory']['limit']")
expect_le "$limit" 134217728 "memory chosen in a cgroup of 128 MiB"
readers=
i=0
while [ $i -lt 64 ]; do
	i=$((i + 1))
	n=$((i % 16 + 1))
	{
		[ "$(sha "$MNT/f$n")" = "$(cat "$W/want.$n")" ] ||
			echo "f$n by $i" >>"$W/wrong"
	} &
	readers="$readers $!"
done
# shellcheck disable=SC2086
wait $readers
[ ! -s "$W/wrong" ] || fail "wrong: $(head -n 3 "$W/wrong")"
expect_eq "$(mount_pid)" "$pid" "the daemon"
expect_le "$(mount_stat "$MNT" "m['memory']['used']")" "$limit" "memory used"
expect_eq "$(awk '$1 == "oom_kill" { print $2 }' "$group/$events")" 0 "OOM kills"
umount_tarn
