# SPDX-License-Identifier: Apache-2.0
# A20: the bucket's region is learnt from a refusal, once. Redirects that lead
# from one region to the next are an error of the mount, or EIO later.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
for n in 1 2 3; do
	sim_put f$n "size=100000&seed=$n" >"$W/o"
done
sim settings '{"region":"eu-west-7"}' >"$W/o"
mount_tarn
grep -q 'region eu-west-7' "$W/mnt.out" || fail "the mount says: $(cat "$W/mnt.out")"
expect_eq "$(sim 'count?op=LIST')" 2 "LISTs until it was mounted"
expect_eq "$(sha "$MNT/f1")" "$(sim_sha f1)"
expect_eq "$(sim 'count?status=400')" 1 "requests for the wrong region"
# It moves while it is mounted: once more.
sim settings '{"region":"eu-west-8"}' >"$W/o"
expect_eq "$(sha "$MNT/f2")" "$(sim_sha f2)"
moved=$(sim 'count?status=400')
expect_le "$moved" 4 "requests for the wrong region, of all that were under way"
ls "$MNT" >"$W/o"
stat "$MNT/f3" >"$W/o"
expect_eq "$(sim 'count?status=400')" "$moved" "requests for the wrong region"
expect_eq "$(grep -c 'is in region eu-west-8' "$W/mnt.log")" 1 "lines"

# From one region to the next, without end.
loop() { # OP: five regions and back
	rules=
	for n in 1 2 3 4 5; do
		rules="$rules{\"name\":\"hop$n\",\"op\":\"$1\",\"count\":1,\"status\":301,
			\"code\":\"PermanentRedirect\",\"region\":\"us-hop-$n\"},"
	done
	sim_rule "[$rules{\"name\":\"hop\",\"op\":\"$1\",\"status\":307,
		\"code\":\"TemporaryRedirect\",\"region\":\"us-hop-1\"}]"
}
sim settings '{"region":""}' >"$W/o"
loop GET
expect_errno EIO cat "$MNT/f3"
expect_fired hop1
expect_le "$(sim_fired hop3)" 1 "hops before it is an error"
expect_eq "$(sim_fired hop4)" 0 "hops before it is an error"
sim clear ''
expect_eq "$(sha "$MNT/f3")" "$(sim_sha f3)" "after the fault"
umount_tarn
loop LIST
sim forget ''
set +e
timeout 60 "$TARN" mount "$SOURCE" "$MNT" -o "cache-dir=$CACHE,$STORE_OPTS" >"$W/out" 2>&1
rc=$?
set -e
expect_eq "$rc" 1 "exit: $(cat "$W/out")"
expect_eq "$(wc -l <"$W/out")" 1 "lines: $(cat "$W/out")"
grep -q 'Redirect' "$W/out" || fail "no reason: $(cat "$W/out")"
expect_le "$(sim count)" 3 "requests"
! mounts_here | grep -q . || fail "mounted"
