# SPDX-License-Identifier: Apache-2.0
# A17: the store's clock is twenty minutes ahead, then behind, of this host's:
# learnt from its Date, once each; a store that is never content is EACCES.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
for n in 1 2 3 4; do
	sim_put f$n "size=100000&seed=$n" >"$W/o"
done
refusals() { sim 'count?status=403'; }
sim settings '{"clock_offset_s":1200}' >"$W/o"
mount_tarn
expect_eq "$(sha "$MNT/f1")" "$(sim_sha f1)" "the store is ahead"
ls -l "$MNT" >"$W/o"
expect_eq "$(refusals)" 1 "refusals, by the mount's first request"
expect_eq "$(grep -c 's from this host' "$W/mnt.log")" 1 "lines"
# It goes back while it is mounted; the first to notice may be a HEAD.
sim settings '{"clock_offset_s":-1200}' >"$W/o"
before=$(refusals)
stat "$MNT/none" >"$W/o" 2>&1 || true
expect_eq "$(sha "$MNT/f2")" "$(sim_sha f2)" "the store is behind"
moved=$(refusals)
expect_ge "$moved" $((before + 1)) "refusals"
expect_le "$moved" $((before + 3)) "refusals, of all that were under way"
expect_eq "$(sha "$MNT/f3")" "$(sim_sha f3)"
expect_eq "$(refusals)" "$moved" "refusals once it is known"
# Never content: one replay, then an error at once.
sim_rule '{"name":"never","op":"GET","status":403,"code":"RequestTimeTooSkewed"}'
expect_errno EACCES cat "$MNT/f4"
expect_fired never
expect_le "$(sim_fired never)" 4 "tries"
sim clear ''
expect_eq "$(sha "$MNT/f4")" "$(sim_sha f4)" "after the fault"
umount_tarn
