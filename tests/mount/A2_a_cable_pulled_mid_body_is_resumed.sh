# SPDX-License-Identifier: Apache-2.0
# A2: the network to the store falls silent mid-body, for longer than the stall
# limit, and comes back: the read sees only a delay, and goes on where it was.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
own_network
need_command nsenter
start_far_objsim
sim 'bucket?name=bucket' ''
sim_put f 'size=24000000&seed=1' >"$W/o"
want=$(sim_sha f)
SOURCE=s3://bucket STORE_OPTS=endpoint=$SIM,path-style=on
# Slow, and with little in the kernels' buffers, so that bodies are under way.
echo 4096 16384 16384 >/proc/sys/net/ipv4/tcp_rmem
nsenter --net -t "$sim_pid" sh -c \
	'echo 4096 16384 16384 >/proc/sys/net/ipv4/tcp_wmem'
mount_tarn stall-timeout=1s,bandwidth-down=6M
cat "$MNT/f" >"$W/out" &
reader=$!
begun() { [ "$(stat -c %s "$W/out")" -ge 1000000 ]; }
wait_for 20 begun
sim_cable down
resumes() { mount_stat "$MNT" "m['counters']['store_resumes']"; }
before=$(resumes)
# The first try to go on runs into the silence as well.
resumed() { [ "$(resumes)" -gt "$before" ]; }
wait_for 20 resumed
expect_le "$(stat -c %s "$W/out")" 23000000 "bytes read when the cable was out"
sim_cable up
wait $reader || fail "the read failed"
expect_eq "$(sha "$W/out")" "$want"
# Only what the dead connections had under way was sent again.
expect_le "$(sim 'bytes?op=GET')" 26000000 "bytes sent"
umount_tarn
