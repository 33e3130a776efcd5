# SPDX-License-Identifier: Apache-2.0
# A1: packets to the store are dropped. What is cached is read, what is not is
# EHOSTUNREACH by the deadline; all is well when they pass again.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
own_network
need_command nft
start_store
sim_put cached 'size=100000&seed=1' >"$W/o"
sim_put cold 'size=100000&seed=2' >"$W/o"
cold=$(sim_sha cold)
mount_tarn consistency=ttl:1h,metadata-timeout=3s,read-timeout=3s
ls -l "$MNT" >"$W/ls"
cached=$(sha "$MNT/cached")
nft add table inet t
nft add chain inet t out '{ type filter hook output priority 0; }'
nft add rule inet t out tcp dport "${SIM##*:}" counter drop
drop_caches
expect_eq "$(sha "$MNT/cached")" "$cached" "cached file"
expect_eq "$(stat -c %s "$MNT/cold")" 100000 "stat within the ttl"
if cat "$MNT/cold" >"$W/out" 2>"$W/err"; then
	fail "read through a wall"
fi
grep -qE 'No route to host|timed out' "$W/err" || fail "$(cat "$W/err")"
nft list table inet t | grep -q 'packets [1-9]' || fail "no packet was dropped"
nft delete table inet t
expect_eq "$(sha "$MNT/cold")" "$cold" "after the fault"
umount_tarn
