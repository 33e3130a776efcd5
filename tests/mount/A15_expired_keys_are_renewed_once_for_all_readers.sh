# SPDX-License-Identifier: Apache-2.0
# A15, INV6: when the store refuses the keys of a role, one AssumeRole gives
# all readers new ones and none sees an error. While STS is down, cached reads
# go on, and others fail with EACCES at their deadline; then all is well again.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
start_awssim
readers=16
for status in 403 401; do
	sim_put "said$status" "size=1000&seed=$status" >"$W/o"
done
for i in $(seq $readers); do
	sim_put "f$i" "size=3000000&seed=$i" >"$W/o"
	sim_put "g$i" "size=3000000&seed=1$i" >"$W/o"
done
sim_put late 'size=3000000&seed=99' >"$W/o"
mkdir -p "$HOME/.aws"
cat >"$HOME/.aws/config" <<EOF
[profile base]
aws_access_key_id = $AWS_ACCESS_KEY_ID
aws_secret_access_key = $AWS_SECRET_ACCESS_KEY
[profile reader]
role_arn = arn:aws:iam::123456789012:role/reader
source_profile = base
EOF
aws_set sim="$SIM" delay_ms=300
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
# The bucket takes the keys of roles only.
sim settings '{"access": "nobody"}'
export AWS_PROFILE=reader AWS_ENDPOINT_URL_STS="$AWSSIM"
mount_tarn read-timeout=4s,metadata-timeout=4s
grep -q 'keys of role arn:aws:iam::123456789012:role/reader via profile reader' \
	"$W/mnt.out" || fail "not named: $(cat "$W/mnt.out")"
expect_eq "$(aws_count grants)" 1 "grants for a mount"
ls -l "$MNT" >"$W/ls"

expire() { # N: the store refuses the N-th grant from now on
	sim "key?access=AWSSIM$1&secret=secret/key%2B$1&token=secret%2F%2Ftoken%2B$1%3D%3D&uses=0" ''
}

# All readers meet the refusal together: the store looks at their keys when
# all of them have asked. STS takes its time.
sim_rule '{"name":"together","op":"GET","key":"f*","count":16,"delay_ms":700}'
expire 1
for i in $(seq $readers); do
	sha256sum <"$MNT/f$i" >"$W/got$i" 2>"$W/err$i" &
	eval "pid$i=$!"
done
for i in $(seq $readers); do
	eval "wait \$pid$i" || fail "reader $i: $(cat "$W/err$i")"
	expect_eq "$(cut -d' ' -f1 "$W/got$i")" "$(sim_sha "f$i")" "bytes of f$i"
done
expect_ge "$(sim 'count?status=400')" 2 "refusals"
expect_eq "$(aws_count grants)" 2 "grants after the keys had expired"
expect_eq "$(aws_count calls)" 2 "calls of STS"

# Keys that last for a few requests only: still no error.
aws_set uses=15 delay_ms=0
expire 2
sim forget ''
for i in $(seq $readers); do
	expect_eq "$(sha "$MNT/g$i")" "$(sim_sha "g$i")" "bytes of g$i"
done
# Each grant serves fifteen requests, and the last one some.
served=$(($(sim count) - $(sim 'count?status=400')))
expect_ge $served 16 "requests"
expect_eq "$(aws_count grants)" $((2 + (served + 14) / 15)) \
	"grants for $served requests"

# STS fails, the keys are gone.
aws_set fail=503 uses=-1
expire "$(aws_count grants)"
began=$(date +%s)
expect_errno EACCES cat "$MNT/late"
took=$(($(date +%s) - began))
expect_ge $took 3 "seconds until EACCES"
# The kernel asks twice, and each time has its deadline.
expect_le $took 12 "seconds until EACCES"
expect_eq "$(sha "$MNT/f3")" "$(sim_sha f3)" "a cached read"
expect_ge "$(aws_count calls)" 5 "calls of STS, with those that failed"
grep -q 'err .*the store refuses the keys of role .*, and they cannot be renewed: 127.0.0.1:[0-9]* refused .*: 503' \
	"$W/mnt.log" || fail "the log does not say it"
expect_le "$(grep -c 'cannot be renewed' "$W/mnt.log")" 2 "lines in the log"

# STS is back: no restart is needed.
aws_set fail=
wait_for 70 cat "$MNT/late"
expect_eq "$(sha "$MNT/late")" "$(sim_sha late)" "once STS is back"
umount_tarn

# Other stores say it in other ways: renewed once, asked again once.
sim clear ''
mount_tarn
ls -l "$MNT" >"$W/ls"
for status in 403 401; do
	sim_rule "{\"name\":\"said$status\",\"op\":\"GET\",\"key\":\"said$status\",
		\"count\":1,\"status\":$status,\"code\":\"ExpiredToken\"}"
	grants=$(aws_count grants)
	expect_eq "$(sha "$MNT/said$status")" "$(sim_sha said$status)" "after $status"
	expect_eq "$(sim_fired said$status)" 1 "answers $status"
	expect_eq "$(aws_count grants)" $((grants + 1)) "grants after $status"
done
umount_tarn
