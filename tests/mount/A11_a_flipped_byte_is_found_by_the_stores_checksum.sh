# SPDX-License-Identifier: Apache-2.0
# A11: a flipped byte in an answer of the right length. With a checksum of the
# store it is found, fetched again, and EIO when it stays; without one it is
# not. What looks like a checksum and is none does no harm.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
kinds="crc32 crc32c crc64nvme sha1 sha256 sha512 md5"
for k in $kinds; do
	sim_put "$k" "size=300001&seed=1&etag=o-$k&checksum=$k" >"$W/o"
	sim_put "stays-$k" "size=70000&seed=2&etag=s-$k&checksum=$k" >"$W/o"
	sim_rule "{\"name\":\"$k\",\"op\":\"GET\",\"key\":\"$k\",\"count\":1,\"flip\":250000}"
	sim_rule "{\"name\":\"stays-$k\",\"op\":\"GET\",\"key\":\"stays-$k\",\"flip\":0}"
done
sim_put known 'size=100000&seed=3' >"$W/o"
sim_put etag 'size=100000&seed=4' >"$W/o"
sim_put stays-etag 'size=100000&seed=5' >"$W/o"
sim_rule '{"name":"etag","op":"GET","key":"etag","count":1,"flip":99999}'
sim_rule '{"name":"stays-etag","op":"GET","key":"stays-etag","flip":5}'
sim_put none 'size=1000&seed=6&etag=opaque' >"$W/o"
sim_rule '{"name":"none","op":"GET","key":"none","flip":5}'
md5=0123456789abcdef0123456789abcdef
sim_put kms "size=1000&seed=7&etag=$md5&sse=aws:kms" >"$W/o"
sim_put parts 'size=1000&seed=8&etag=opaque-2&checksum=crc32c&checksum_text=AAAAAA==-2' >"$W/o"
sim_put cut 'size=900000&seed=9&etag=opaque&checksum=crc64nvme' >"$W/o"
sim_rule '{"name":"cut","op":"GET","key":"cut","count":1,"after_bytes":500000,"then":"rst"}'
# Each is fetched when it is asked for, not before.
mount_tarn read-timeout=20s,prefetch=off
counter() { mount_stat "$MNT" "m['counters']['$1']"; }

for k in $kinds; do
	errors=$(counter store_checksum_errors) right=$(counter store_verified)
	expect_eq "$(sha "$MNT/$k")" "$(sim_sha "$k")" "$k"
	expect_fired "$k"
	expect_eq "$(counter store_checksum_errors)" $((errors + 1)) "errors of $k"
	expect_eq "$(counter store_verified)" $((right + 1)) "verified by $k"
	expect_errno EIO cat "$MNT/stays-$k"
	expect_fired "stays-$k" 2
	expect_le "$(sim_fired "stays-$k")" 5 "times that stays-$k was asked for"
done
# Of an MD5 in the ETag, once one was seen to be one.
expect_eq "$(sha "$MNT/known")" "$(sim_sha known)" known
expect_eq "$(sha "$MNT/etag")" "$(sim_sha etag)" etag
expect_fired etag
expect_errno EIO cat "$MNT/stays-etag"
expect_fired stays-etag 2
# A transfer that was resumed is compared as a whole.
right=$(counter store_verified)
expect_eq "$(sha "$MNT/cut")" "$(sim_sha cut)" cut
expect_fired cut
expect_eq "$(counter store_verified)" $((right + 1)) "verified after a cut"
# What is no checksum of the bytes: one request, no complaint.
errors=$(counter store_checksum_errors)
for f in kms parts; do
	expect_eq "$(sha "$MNT/$f")" "$(sim_sha $f)" $f
	expect_eq "$(sim "count?op=GET&key=$f")" 1 "GETs of $f"
done
[ "$(sha "$MNT/none")" != "$(sim_sha none)" ] || fail "the flip did not show"
expect_fired none
expect_eq "$(counter store_checksum_errors)" "$errors" "errors without a checksum"
sim clear ''
for k in $kinds etag; do
	expect_eq "$(sha "$MNT/stays-$k")" "$(sim_sha "stays-$k")" "$k after the fault"
done
# No bytes of a wrong answer are in the cache.
umount_tarn
sim clear ''
mount_tarn prefetch=off
for k in $kinds etag; do
	expect_eq "$(sha "$MNT/stays-$k")" "$(sim_sha "stays-$k")" "$k from the cache"
done
umount_tarn

# A store whose ETags look like MD5s and are none is found out once.
sim reset ''
for n in 1 2 3; do
	sim_put f$n "size=1000&seed=1$n&etag=${md5%?}$n" >"$W/o"
done
mount_tarn
for n in 1 2 3; do
	expect_eq "$(sha "$MNT/f$n")" "$(sim_sha f$n)" "f$n"
done
expect_eq "$(sim 'count?op=GET')" 4 "GETs of three files"
expect_eq "$(counter store_checksum_errors)" 0 "errors"
umount_tarn
