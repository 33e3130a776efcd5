# SPDX-License-Identifier: Apache-2.0
# E4: in a cgroup of 128 MiB, 64 readers: all bytes right, the daemon lives,
# its own count stays within its budget.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
own_cgroup memory
limit_file=memory.max events=memory.events
[ $group_version = 2 ] ||
	limit_file=memory.limit_in_bytes events=memory.oom_control
echo 134217728 >"$group/$limit_file"
i=0
while [ $i -lt 16 ]; do
	i=$((i + 1))
	sim_put f$i "size=9000000&seed=$i" >"$W/o"
	sim_sha f$i >"$W/want.$i"
done
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
