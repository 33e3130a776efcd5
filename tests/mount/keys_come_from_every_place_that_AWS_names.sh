# SPDX-License-Identifier: Apache-2.0
# The credentials chain on real mounts: each place gives keys, `tarn mount`
# says which it was, and the order is that of the SDKs. The addresses are the
# real ones, in a network of our own.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
own_network
ip addr add 169.254.169.254/32 dev lo
ip addr add 169.254.170.2/32 dev lo
start_store
start_awssim 0.0.0.0 80
AWSSIM=http://127.0.0.1:80
sim_put f 'size=10000&seed=1' >"$W/o"
want=$(sim_sha f)
sim settings '{"access": "nobody"}'
mkdir -p "$HOME/.aws"
cat >"$HOME/.aws/config" <<EOF
[profile base]
aws_access_key_id = $AWS_ACCESS_KEY_ID
aws_secret_access_key = $AWS_SECRET_ACCESS_KEY
[profile first]
role_arn = arn:aws:iam::1:role/first
source_profile = base
[profile second]
role_arn = arn:aws:iam::1:role/second
source_profile = first
[profile task]
role_arn = arn:aws:iam::1:role/of-task
credential_source = EcsContainer
[profile node]
role_arn = arn:aws:iam::1:role/of-node
credential_source = Ec2InstanceMetadata
[profile web]
role_arn = arn:aws:iam::1:role/web
web_identity_token_file = $W/identity
[profile tool]
credential_process = "$W/my tool" --profile 'a b'
[sso-session corp]
sso_region = eu-central-1
sso_start_url = https://corp.awsapps.com/start
[profile sso]
sso_session = corp
sso_account_id = 123456789012
sso_role_name = Reader
EOF
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_EC2_METADATA_DISABLED
aws_set sim="$SIM" identity="$W/identity" bearer=login-token
export AWS_ENDPOINT_URL_STS=$AWSSIM AWS_ENDPOINT_URL_SSO=$AWSSIM
echo web-token >"$W/identity"
mkdir -p "$HOME/.aws/sso/cache"
printf '{"accessToken": "login-token", "expiresAt": "2099-01-01T00:00:00Z"}' \
	>"$HOME/.aws/sso/cache/$(printf corp | sha1sum | cut -d' ' -f1).json"
sim 'key?access=TOOL&secret=toolsecret' ''
cat >"$W/my tool" <<'EOF'
#!/bin/sh
[ "$*" = '--profile a b' ] || exit 1
echo '{"Version": 1, "AccessKeyId": "TOOL", "SecretAccessKey": "toolsecret"}'
EOF
chmod +x "$W/my tool"

comes_from() { # WORDS [OPTIONS]
	mount_tarn "${2-}"
	grep -qF "keys of $1" "$W/mnt.out" ||
		fail "wanted keys of $1: $(cat "$W/mnt.out")"
	"$TARN" free "$MNT" >"$W/o"
	expect_eq "$(sha "$MNT/f")" "$want" "with keys of $1"
	umount_tarn
}
grants() { # N: how many there were since the last time
	expect_eq $(($(aws_count grants) - before)) "$1" "grants"
	before=$(aws_count grants)
}
before=0

comes_from 'role node-role of this EC2 instance'
grants 1
expect_eq "$(aws_count 'calls?of=imds')" 3 "requests of metadata"
export AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/v2/credentials/abc
comes_from "the container's role, from 169.254.170.2"
grants 1
comes_from 'role arn:aws:iam::1:role/of-task via profile task' profile=task
grants 2
unset AWS_CONTAINER_CREDENTIALS_RELATIVE_URI
comes_from 'role arn:aws:iam::1:role/of-node via profile node' profile=node
grants 2
comes_from 'role arn:aws:iam::1:role/second via profile second' profile=second
grants 2
comes_from 'role arn:aws:iam::1:role/web via profile web' profile=web
comes_from 'SSO role Reader of account 123456789012 via profile sso' profile=sso
grants 2
comes_from 'profile tool (credential_process)' profile=tool
grants 0
# In the chain: web identity before the profile, keys before both.
export AWS_PROFILE=tool
comes_from 'profile tool (credential_process)'
export AWS_WEB_IDENTITY_TOKEN_FILE="$W/identity" AWS_ROLE_ARN=arn:aws:iam::1:role/pod
comes_from 'role arn:aws:iam::1:role/pod via web identity'
grants 1
comes_from 'profile tool (credential_process)' profile=tool
export AWS_ACCESS_KEY_ID=TOOL AWS_SECRET_ACCESS_KEY=toolsecret
comes_from environment
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_PROFILE
unset AWS_WEB_IDENTITY_TOKEN_FILE AWS_ROLE_ARN
grants 0

# EKS Pod Identity: the token's file is replaced while the mount runs.
echo pod-token-1 >"$W/pod"
aws_set pod="$W/pod" uses=2
export AWS_CONTAINER_CREDENTIALS_FULL_URI=http://169.254.170.2/v1/credentials
export AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE="$W/pod"
mount_tarn consistency=strict,cache-size=0
echo pod-token-2 >"$W/pod"
for _ in 1 2 3 4; do
	expect_eq "$(sha "$MNT/f")" "$want" "with a new token in the file"
done
umount_tarn
expect_ge "$(aws_count grants)" $((before + 2)) "grants for tokens of a file"
unset AWS_CONTAINER_CREDENTIALS_FULL_URI AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE

# What fails is one sentence with the fix, and nothing is mounted.
refused() { # WORDS [OPTIONS]
	if "$TARN" mount "$SOURCE" "$MNT" -o "cache-dir=$CACHE,$STORE_OPTS${2:+,$2}" \
		>"$W/out" 2>&1; then
		fail "mounted without keys"
	fi
	expect_eq "$(wc -l <"$W/out")" 1 "lines of the message"
	grep -qF "$1" "$W/out" || fail "wanted '$1': $(cat "$W/out")"
	! mounts_here | grep -q . || fail "left mounted"
}
aws_set uses=-1 pod=
aws_set fail=redirect
refused 'a redirect is not followed'
expect_eq "$(aws_count 'calls?of=trap')" 0 "redirects followed"
aws_set fail=401
refused 'answered 401'
aws_set fail=
printf '{"accessToken": "login-token", "expiresAt": "2001-01-01T00:00:00Z"}' \
	>"$HOME/.aws/sso/cache/$(printf corp | sha1sum | cut -d' ' -f1).json"
refused 'aws sso login --profile sso' profile=sso
AWS_EC2_METADATA_DISABLED=true
export AWS_EC2_METADATA_DISABLED
refused 'EC2 metadata is switched off'
refused 'use anonymous'
