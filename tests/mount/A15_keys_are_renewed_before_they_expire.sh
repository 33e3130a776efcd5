# SPDX-License-Identifier: Apache-2.0
# A15: keys that tell when they end are renewed in time: the store never sees
# an expired one, and a provider that fails meanwhile is no one's error.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
start_awssim
sim_put f 'size=100000&seed=1' >"$W/o"
want=$(sim_sha f)
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
sim settings '{"access": "nobody"}'
aws_set sim="$SIM" life=5
# Every open and every read asks the store.
STORE_OPTS=$STORE_OPTS,consistency=strict,cache-size=0
export AWS_CONTAINER_CREDENTIALS_FULL_URI="$AWSSIM/get-keys"
mount_tarn
grep -q "keys of the container's role, from 127.0.0.1" "$W/mnt.out" ||
	fail "not named: $(cat "$W/mnt.out")"
read_until() { # GRANTS: read on until so many were made
	until=$(($(date +%s) + 30))
	while [ "$(aws_count grants)" -lt "$1" ]; do
		[ "$(date +%s)" -lt $until ] || fail "never renewed"
		expect_eq "$(sha "$MNT/f")" "$want" "bytes while keys are renewed"
	done
}
read_until 3
# The second but last moment of the set: it still serves.
aws_set fail=500
calls=$(aws_count calls)
until=$(($(date +%s) + 30))
while [ "$(aws_count calls)" = "$calls" ]; do
	[ "$(date +%s)" -lt $until ] || fail "never asked again"
	expect_eq "$(sha "$MNT/f")" "$want" "bytes while a renewal fails"
done
aws_set fail=
read_until 5
expect_ge "$(sim count)" 20 "requests"
expect_eq "$(sim 'count?status=400')" 0 "requests with expired keys"
expect_eq "$(sim 'count?status=403')" 0 "refused requests"
grep -q 'cannot be renewed' "$W/mnt.log" || fail "the failure was not logged"
umount_tarn
