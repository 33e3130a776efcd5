# SPDX-License-Identifier: Apache-2.0
# D1: in the middle of an epoch one worker of three is killed, refuses, hears
# nothing, loses its cable, or stops: every byte is right, no read fails or
# takes long, the worker is down, and up again when it is well, by itself.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
own_network
need_command nsenter nft
start_near_objsim
sim_put_files d/f 0 99 30000 100
sim_put large 'size=24000000&seed=1000' >"$W/o"
for n in 1 2 3; do
	start_far_worker $n
done
workers=10.99.1.2:7070+10.99.2.2:7070+10.99.3.2:7070
mount_tarn "workers=$workers,cluster-key-file=$W/cluster.key,prefetch=off,readahead=4M"

# What is read, the large one first; and whose that is.
echo "$(sim_sha large)  large" >"$W/sums"
n=0
while [ $n -lt 100 ]; do
	echo "$(sim_sha d/f$n)  d/f$n" >>"$W/sums"
	n=$((n + 1))
done
epoch() { # [SUMS]: once more, of nothing that this host has
	"$TARN" free "$MNT/d" "$MNT/large" >"$W/o"
	drop_caches
	python3 "$HELPERS/epoch.py" "$MNT" "${1-$W/sums}" "$W/progress" >"$W/longest"
}
grep -v large "$W/sums" >"$W/small"
epoch
victim=$(mount_stat "$MNT" "max(m['ring']['workers'], key=lambda w: w['hit_bytes'])['name'].split('.')[2]")
name=10.99.$victim.2:7070
gets=$(sim 'count?op=GET')
epoch
expect_eq "$(sim 'count?op=GET')" "$gets" "GETs of an epoch with warm workers"
# So that a body is under way when it happens.
slowed=1
in_far "$victim" tc qdisc add dev far root tbf rate 80mbit burst 64k latency 50ms 2>"$W/o" ||
	slowed=

nft_victim() { # VERDICT: of what comes to the worker
	in_far "$victim" nft "add table inet t
		add chain inet t in { type filter hook input priority 0; }
		add rule inet t in tcp dport 7070 $1"
}
begin_kill() { kill -9 "$pid" && wait_for 20 no_process "$pid"; }
end_kill() { start_far_worker "$victim"; }
begin_refuse() { nft_victim 'reject with tcp reset'; }
end_refuse() { in_far "$victim" nft delete table inet t; }
begin_drop() { nft_victim drop; }
end_drop() { end_refuse; }
begin_cable() { far_cable "$victim" down; }
end_cable() { far_cable "$victim" up; }
begin_stop() { kill -STOP "$pid"; }
end_stop() { kill -CONT "$pid"; }

under_way() { [ "$(cat "$W/progress")" -ge 2000000 ]; }
is() { [ "$(ring_state mnt "$name")" = "$1" ]; }
down() { # it takes three failures
	is down || { epoch && is down; }
}
healed() {
	is up || { epoch "$W/small" && is up; }
}
for fault in kill refuse drop cable stop; do
	healthy=$(mount_stat "$MNT" "sum(w['state'] == 'up' for w in m['ring']['workers'])")
	expect_eq "$healthy" 3 "workers up before $fault"
	before=$(counter mnt peer_errors)
	pid=$(worker_pid "w$victim")
	: >"$W/progress"
	epoch &
	reader=$!
	wait_for 20 under_way
	begin_$fault
	[ -z "$slowed" ] ||
		expect_le "$(cat "$W/progress")" 24000000 "bytes read when it happened"
	wait $reader || fail "$fault: $(cat "$W/longest")"
	wait_for 20 down
	echo "$fault: the longest read took $(cat "$W/longest") s"
	expect_le "$(cut -d. -f1 "$W/longest")" 9 "$fault: seconds of the longest read"
	expect_ge "$(counter mnt peer_errors)" $((before + 3)) "failures by $fault"
	end_$fault
	wait_for 40 healed
done
no_errors mnt
umount_tarn
