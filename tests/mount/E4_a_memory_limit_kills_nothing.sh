# SPDX-License-Identifier: Apache-2.0
# E4: in a cgroup of 128 MiB, 64 readers of more than fits: both the group's
# limit and the daemon's budget are met, all bytes are right, the daemon lives,
# and its own count stays within its budget.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
own_cgroup memory
limit_file=memory.max events=memory.events
[ $group_version = 2 ] ||
	limit_file=memory.limit_in_bytes events=memory.oom_control
echo 134217728 >"$group/$limit_file"
at_limit() { # times that the kernel had to make room in the group
	if [ $group_version = 2 ]; then
		awk '$1 == "max" { print $2 }' "$group/memory.events"
	else
		cat "$group/memory.failcnt"
	fi
}
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
read_all() { # COMMAND...: by 64 readers, each file by four
	readers=
	i=0
	while [ $i -lt 64 ]; do
		i=$((i + 1))
		n=$((i % 16 + 1))
		{
			got=$("$@" if="$MNT/f$n" status=none | sha256sum | cut -d' ' -f1)
			[ "$got" = "$(cat "$W/want.$n")" ] ||
				echo "f$n by $i, $*" >>"$W/wrong"
		} &
		readers="$readers $!"
	done
	# shellcheck disable=SC2086 # several
	wait $readers
	[ ! -s "$W/wrong" ] || fail "wrong: $(head -n 3 "$W/wrong")"
}
cold() {
	"$TARN" free "$MNT" >"$W/o"
	drop_caches
}
# By readers outside of the group, which nothing slows: most times that is
# more than the budget.
pressed() {
	cold
	read_all dd bs=1M
	waits=$(mount_stat "$MNT" "m['counters']['memory_waits']")
	[ "$waits" -ge 1 ]
}
rounds=0
until pressed; do
	rounds=$((rounds + 1))
	[ $rounds -lt 20 ] || fail "no fetch ever waited for memory"
done
# By readers in it, where what the kernel keeps of a file counts.
cold
read_all "$W/in-group" dd bs=64K
hit=$(at_limit)
expect_ge "$hit" 1 "times that the group was at its limit"
echo "fetches waited for memory $waits times, the limit was met $hit times"
expect_eq "$(mount_pid)" "$pid" "the daemon"
expect_le "$(mount_stat "$MNT" "m['memory']['used']")" "$limit" "memory used"
expect_eq "$(awk '$1 == "oom_kill" { print $2 }' "$group/$events")" 0 "OOM kills"
umount_tarn
