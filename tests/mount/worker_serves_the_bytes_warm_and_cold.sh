# SPDX-License-Identifier: Apache-2.0
# A worker answers what the store holds: whole objects and ranges, small and
# large, cold, warm and after a restart, which costs no GET; ETag and length as
# the store's; 304, 404, 412, 416, 400, 405 where they belong.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
start_store
for key in small:1000 page:65536 odd:300001 large:9000001 empty:0; do
	sim_put "d/${key%:*}" "size=${key#*:}&seed=${#key}" >"$W/o"
done
sim_put 'd/od%23d%20n%2Bame%25' 'size=77&seed=7' >"$W/o"
start_worker

same() { # KEY
	expect_eq "$(worker_code "/bucket/d/$1" -D "$W/head")" 200 "$1"
	expect_eq "$(sha "$W/answer")" "$(sim_sha "d/$1")" "bytes of $1"
	grep -qi "^accept-ranges: bytes" "$W/head"
	grep -qi '^etag: ".*"' "$W/head"
	grep -qi '^age: [0-9]' "$W/head"
	grep -qi '^x-amz-request-id: ' "$W/head"
	grep -qi '^x-tarn-protocol: 1' "$W/head"
	grep -qi '^last-modified: ...,' "$W/head"
}

ranges() {
	curl -fsS "$SIM/_sim/get?bucket=bucket&key=d/large" >"$W/large"
	for r in 0-0 1-65536 65535-65537 0-9000000 8999999-20000000 5000000- -70000 \
		1048576-2097151; do
		expect_eq "$(worker_code /bucket/d/large -H "Range: bytes=$r")" 206 "$r"
		curl -fsS -r "$r" "file://$W/large" >"$W/want" 2>"$W/o" ||
			tail -c +"$((${r%%-*} + 1))" "$W/large" >"$W/want"
		cmp "$W/want" "$W/answer"
	done
}

for round in cold warm; do
	for key in small page odd large empty od%23d%20n%2Bame%25; do
		same "$key"
	done
	ranges
	[ $round = warm ] || gets=$(sim 'count?op=GET')
done
expect_eq "$(sim 'count?op=GET')" "$gets" "GETs when warm"
expect_eq "$(sim 'count?op=GET&key=d/small')" 1 "GETs of the small one"
expect_eq "$(sim 'count?op=GET&key=d/odd')" 1 "GETs of the odd one"

etag=$(sed -n 's/^[Ee][Tt]ag: //p' "$W/head" | tr -d '\r')
key=/bucket/d/od%23d%20n%2Bame%25
expect_eq "$(worker_code $key -H "If-Match: $etag")" 200
expect_eq "$(worker_code $key -H 'If-Match: "other"')" 412
expect_eq "$(worker_code $key -H "If-None-Match: $etag")" 304
expect_eq "$(worker_code $key -I)" 200 HEAD
expect_eq "$(worker_code $key -H 'Range: bytes=77-')" 416
grep -q '<Code>InvalidRange</Code>' "$W/answer"
for r in 0-1,3-4 5-2 x 1-x 99999999999999999999-; do
	expect_eq "$(worker_code $key -H "Range: bytes=$r")" 400 "$r"
done
expect_eq "$(worker_code /bucket/d/none)" 404
grep -q '<Code>NoSuchKey</Code>' "$W/answer"
expect_eq "$(worker_code /bucket/d/none -I)" 404
expect_eq "$(worker_code /other/d/none)" 404
grep -q '<Code>NoSuchBucket</Code>' "$W/answer"
for method in PUT DELETE POST PATCH OPTIONS; do
	expect_eq "$(worker_code $key -X $method)" 405 $method
done
expect_eq "$(sim 'count?op=PUT')" 0 PUTs

# What wire.h has for mounts: the depth is one, the store has a name.
expect_eq "$(worker_code $key -H 'x-tarn-hop: 1')" 200
expect_eq "$(worker_code $key -H 'x-tarn-hop: 2')" 508
expect_eq "$(worker_code $key -H 'x-tarn-store: another')" 421

# max-age=0: the store is asked, and a new version seen.
sim_put 'd/small' 'size=1000&seed=99' >"$W/o"
expect_eq "$(worker_code /bucket/d/small -H 'Cache-Control: max-age=0')" 200
expect_eq "$(sha "$W/answer")" "$(sim_sha d/small)" "the new version"
same small

gets=$(sim 'count?op=GET')
stop_worker
start_worker
for key in small page odd large empty; do
	same "$key"
done
ranges
expect_eq "$(sim 'count?op=GET')" "$gets" "GETs after a restart"
stop_worker
