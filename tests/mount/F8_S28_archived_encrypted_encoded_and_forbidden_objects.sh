# SPDX-License-Identifier: Apache-2.0
# F8, S23, S28: an archived object opens with EACCES and its attribute says
# why, until it is restored; a gzip one is its stored bytes; one encrypted
# with a customer's key is EIO, and one that may not be read EACCES, at once.
# Each is that entry's matter alone, by a listing and by its name.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
put_all() { # [QUERY of archived ones]
	sim_put d/cold "size=5000&storage_class=GLACIER${1-}" >"$W/o"
	sim_put d/deep "size=9000000&storage_class=DEEP_ARCHIVE${1-}" >"$W/o"
}
put_all
sim_put d/instant 'size=5000&seed=3&storage_class=GLACIER_IR' >"$W/o"
sim_put d/packed 'size=5000&seed=4&encoding=gzip' >"$W/o"
sim_put d/large-packed 'size=9000000&seed=5&encoding=gzip' >"$W/o"
sim_put d/plain 'size=5000&seed=6' >"$W/o"
sim_put d/sse-c 'size=5000&seed=7' >"$W/o"
sim_put d/forbidden 'size=5000&seed=8' >"$W/o"
storage_class() { # NAME
	python3 -c 'import os, sys
print(os.getxattr(sys.argv[1], "user.tarn.storage_class").decode())' "$MNT/d/$1"
}
# What S3 answers who names no key: a HEAD has no body to say it in.
encrypted='"key":"d/sse-c","status":400,"code":"InvalidRequest",
	"message":"The object was stored using a form of Server Side Encryption"'
denied='"key":"d/forbidden","status":403,"code":"AccessDenied"'
for c in strict ttl:1h; do
	CACHE_DIR=$W/cache-${c%:*}
	sim clear ''
	sim_rule "[{\"name\":\"sse-c\",\"op\":\"GET\",$encrypted},
		{\"name\":\"sse-c-head\",\"op\":\"HEAD\",$encrypted},
		{\"name\":\"denied\",\"op\":\"GET\",$denied},
		{\"name\":\"denied-head\",\"op\":\"HEAD\",$denied}]"
	put_all
	mount_tarn "consistency=$c"
	[ "$c" = strict ] || expect_eq "$(ls "$MNT/d" | wc -l)" 8 "names"
	sim forget ''
	expect_errno EACCES cat "$MNT/d/cold"
	expect_errno EACCES cat "$MNT/d/deep"
	expect_eq "$(storage_class cold) $(storage_class deep)" \
		"GLACIER DEEP_ARCHIVE" "reasons"
	expect_eq "$(stat -c %s "$MNT/d/deep")" 9000000 "its size is told"
	expect_eq "$(sim 'count?op=GET&key=d/cold')" 0 "GETs of an archived one"
	expect_eq "$(storage_class instant)" GLACIER_IR "of one that can be read"
	expect_eq "$(sha "$MNT/d/instant")" "$(sim_sha d/instant)" "instant"

	expect_eq "$(sha "$MNT/d/packed")" "$(sim_sha d/packed)" "stored bytes"
	expect_eq "$(sha "$MNT/d/large-packed")" "$(sim_sha d/large-packed)" \
		"stored bytes of a large one"

	expect_errno EIO cat "$MNT/d/sse-c"
	expect_errno EACCES cat "$MNT/d/forbidden"
	expect_ge $(($(sim_fired sse-c) + $(sim_fired sse-c-head))) 1 "times sse-c"
	expect_ge $(($(sim_fired denied) + $(sim_fired denied-head))) 1 "times denied"
	# No storm of retries.
	expect_le "$(sim 'count?key=d/sse-c')" 4 "requests for sse-c"
	expect_le "$(sim 'count?key=d/forbidden')" 4 "requests for forbidden"
	expect_eq "$(sha "$MNT/d/plain")" "$(sim_sha d/plain)" "their neighbour"

	# Restored: no new version, and its listing still says that it is archived.
	put_all '&restored=1'
	expect_eq "$(sha "$MNT/d/cold")" "$(sim_sha d/cold)" "restored, $c"
	expect_eq "$(sha "$MNT/d/deep")" "$(sim_sha d/deep)" "restored, $c"
	sim clear ''
	expect_eq "$(sha "$MNT/d/sse-c")" "$(sim_sha d/sse-c)" "after the fault"
	expect_eq "$(sha "$MNT/d/forbidden")" "$(sim_sha d/forbidden)" "after the fault"
	umount_tarn
done
