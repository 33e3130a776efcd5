# SPDX-License-Identifier: Apache-2.0
# R4, A3: with the store gone, what is cached is read (also by a mount that
# the kernel remembers nothing of); what is not fails in time, and works
# again once the store is back.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put d/one 'size=300000&seed=3' >"$W/o"
sim_put d/two 'size=9000000&seed=4' >"$W/o"
sim_put d/cold 'size=300000&seed=5' >"$W/o"
mount_tarn consistency=ttl:1h,metadata-timeout=2s,read-timeout=2s
ls -l "$MNT/d" >"$W/ls"
one=$(sha "$MNT/d/one") two=$(sha "$MNT/d/two")
expect_eq "$one" "$(sim_sha d/one)"
expect_eq "$two" "$(sim_sha d/two)"
sim forget ''
sim_rule '{"name":"gone","lost":true}'
drop_caches
expect_eq "$(sha "$MNT/d/one")" "$one" "cached small file"
expect_eq "$(sha "$MNT/d/two")" "$two" "cached large file"
if cat "$MNT/d/cold" >"$W/out" 2>"$W/err"; then
	fail "an uncached file was read from a store that is gone"
fi
grep -qE 'timed out|No route|unreachable' "$W/err" || fail "$(cat "$W/err")"
expect_fired gone
expect_eq "$(sha "$MNT/d/one")" "$one" "cached small file, again"
sim clear ''
expect_eq "$(sha "$MNT/d/cold")" "$(sim_sha d/cold)" "after the fault"
umount_tarn
