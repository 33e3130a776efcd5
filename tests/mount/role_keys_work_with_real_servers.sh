# SPDX-License-Identifier: Apache-2.0
# AssumeRole as servers other than our own take it: the signature for STS, the
# answer, and requests with the keys of the role.
# stores: minio moto
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
make_file "$W/f" 300000
store_put f "$W/f"
mkdir -p "$HOME/.aws"
cat >"$HOME/.aws/credentials" <<EOF
[base]
aws_access_key_id = $AWS_ACCESS_KEY_ID
aws_secret_access_key = $AWS_SECRET_ACCESS_KEY
EOF
cat >"$HOME/.aws/config" <<EOF
[profile reader]
role_arn = arn:aws:iam::123456789012:role/reader
source_profile = base
duration_seconds = 900
external_id = of:the/partner@7
[profile wrong]
role_arn = arn:aws:iam::123456789012:role/reader
source_profile = nobody
[profile nobody]
aws_access_key_id = $AWS_ACCESS_KEY_ID
aws_secret_access_key = not-the-right-one
EOF
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
# As in the SDKs, one variable for all services.
export AWS_ENDPOINT_URL="$S3"
mount_tarn profile=reader
grep -q 'keys of role arn:aws:iam::123456789012:role/reader via profile reader' \
	"$W/mnt.out" || fail "not named: $(cat "$W/mnt.out")"
expect_eq "$(sha "$MNT/f")" "$(sha "$W/f")" "bytes with a role's keys"
umount_tarn
[ "$STORE_KIND" != moto ] || exit 0 # it looks at no signature
if "$TARN" mount "$SOURCE" "$MNT" -o "cache-dir=$CACHE,$STORE_OPTS,profile=wrong" \
	>"$W/out" 2>&1; then
	fail "mounted with wrong keys"
fi
grep -q 'refused arn:aws:iam::123456789012:role/reader: 403 ' "$W/out" ||
	fail "not in words: $(cat "$W/out")"
expect_eq "$(wc -l <"$W/out")" 1 "lines of the message"
