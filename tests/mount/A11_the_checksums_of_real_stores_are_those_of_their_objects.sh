# SPDX-License-Identifier: Apache-2.0
# stores: versitygw minio moto
# A11: objects stored with each checksum, and with none, are compared with
# what the store says of them, and right.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
make_file "$W/data" 300001
kinds="crc32 crc32c crc64nvme sha1 sha256"
for k in $kinds; do
	s3 put-sum "$k" "$W/data" "$k"
done
s3 put plain "$W/data"
: >"$W/nothing"
s3 put-sum empty "$W/nothing" crc32c
mount_tarn
for k in $kinds plain; do
	cmp "$W/data" "$MNT/$k"
done
expect_eq "$(wc -c <"$MNT/empty")" 0 "bytes of an empty object"
expect_eq "$(mount_stat "$MNT" "m['counters']['store_verified']")" 6 "verified"
expect_eq "$(mount_stat "$MNT" "m['counters']['store_checksum_errors']")" 0 "errors"
umount_tarn
