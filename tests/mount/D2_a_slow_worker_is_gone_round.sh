# SPDX-License-Identifier: Apache-2.0
# D2: one worker of three sends 1 KB a second: others are asked for what it owns,
# every byte is right, and readers do not wait for it.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
own_network
need_command nsenter tc
start_near_objsim
: >"$W/sums"
n=0
while [ $n -lt 40 ]; do
	sim_put d/f$n "size=$((50000 + n))&seed=$n" >"$W/o"
	echo "$(sim_sha d/f$n)  d/f$n" >>"$W/sums"
	n=$((n + 1))
done
sim_put large 'size=9000000&seed=1000' >"$W/o"
echo "$(sim_sha large)  large" >>"$W/sums"
for n in 1 2 3; do
	start_far_worker $n
done
mount_tarn "workers=10.99.1.2:7070+10.99.2.2:7070+10.99.3.2:7070,cluster-key-file=$W/cluster.key,prefetch=off"
epoch() {
	"$TARN" free "$MNT/d" "$MNT/large" >"$W/o"
	drop_caches
	python3 "$HELPERS/epoch.py" "$MNT" "$W/sums" "$W/progress" >"$W/longest"
}
epoch
victim=$(mount_stat "$MNT" "max(m['ring']['workers'], key=lambda w: w['hit_bytes'])['name'].split('.')[2]")
name=10.99.$victim.2:7070
in_far "$victim" tc qdisc add dev far root tbf rate 8kbit burst 1600 latency 2s 2>"$W/o" ||
	skip "no tbf: $(cat "$W/o")"
epoch || fail "$(cat "$W/longest")"
echo "the longest read took $(cat "$W/longest") s"
expect_le "$(cut -d. -f1 "$W/longest")" 9 "seconds of the longest read"
expect_ge "$(counter mnt peer_errors)" 1 "times that it was too slow"
sent=$(in_far "$victim" tc -s qdisc show dev far | sed -n 's/.*dropped \([0-9]*\).*overlimits \([0-9]*\).*/\2/p')
expect_ge "$sent" 1 "packets that had to wait"
is() { [ "$(ring_state mnt "$name")" = "$1" ]; }
down() { is down || { epoch && is down; }; }
wait_for 30 down
in_far "$victim" tc qdisc del dev far root
healed() { is up || { epoch && is up; }; }
wait_for 40 healed
no_errors mnt
umount_tarn
