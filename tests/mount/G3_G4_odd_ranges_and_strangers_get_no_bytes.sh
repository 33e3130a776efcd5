# SPDX-License-Identifier: Apache-2.0
# G3: a worker gives one range of bytes and no other: many, reversed, beyond
# 2^64 and none at all are 400 or 416, and the object is read as before. G4: who
# has not the key gets the same answer, to the byte, whatever is asked for:
# cached, not cached, absent, of another bucket.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
start_store
sim_put cached 'size=200000&seed=1' >"$W/o"
sim_put cold 'size=200000&seed=2' >"$W/o"
start_worker
want=$(sim_sha cached)
expect_eq "$(worker_code /bucket/cached)" 200
many=$(python3 -c 'print(",".join("0-" for _ in range(1300)))')
ranges() { # STATUS RANGE...
	status=$1
	shift
	for r in "$@"; do
		expect_eq "$(worker_code "$key" -H "Range: bytes=$r")" "$status" \
			"$key $(printf %.60s "$r")"
		expect_le "$(stat -c %s "$W/answer")" 2000 "bytes of a refusal"
	done
}
for key in /bucket/cached /bucket/cold; do
	ranges 400 '0-,0-' "$many" '5-2' '1-2,3-4' '-' '' 'x' '+1-2' '0x1-2' '1--2' \
		'18446744073709551616-' '0-18446744073709551616' \
		'-18446744073709551616' '99999999999999999999999999-'
	ranges 416 '200000-' '9007199254740992-' '200000-200001' '-0'
	expect_eq "$(worker_code $key -H 'Range: bytes=-9007199254740992')" 206 "a suffix above the size"
	expect_eq "$(stat -c %s "$W/answer")" 200000 "bytes of that"
done
expect_eq "$(worker_code /bucket/cached)" 200
expect_eq "$(sha "$W/answer")" "$want" "afterwards"

sim_put never 'size=200000&seed=2' >"$W/o"
asked=$(sim count)
stranger() { # NAME PATH [CURL-ARGUMENT...]: its answer, without what names the request
	name=$1 path=$2
	shift 2
	curl -sS --max-time 60 --path-as-is -D "$W/head" -o "$W/body" "$@" "$WORKER$path"
	grep -vi -e '^date:' -e '^x-amz-request-id:' -e '^content-length:' "$W/head" >"$W/$name.said"
	sed -e 's#<Resource>[^<]*</Resource>##' -e 's#<RequestId>[^<]*</RequestId>##' \
		"$W/body" >>"$W/$name.said"
}
for how in unsigned 'another key'; do
	set --
	[ "$how" = unsigned ] || set -- --aws-sigv4 aws:amz:us-east-1:s3 \
		--user "tarn:${CLUSTER_KEY}x" -H "x-amz-content-sha256: $EMPTY_SHA256"
	stranger cached /bucket/cached "$@"
	head -n 1 "$W/cached.said" | grep -q ' 403' || fail "$how: $(cat "$W/cached.said")"
	for path in /bucket/never /bucket/absent /nobucket/cached '/bucket?list-type=2'; do
		stranger other "$path" "$@"
		cmp "$W/cached.said" "$W/other.said" || fail "$how: $path tells more"
	done
	stranger other /bucket/cached "$@" -H 'Range: bytes=5-2'
	cmp "$W/cached.said" "$W/other.said" || fail "$how: a range tells more"
	stranger other /bucket/cached "$@" -H 'If-Match: "x"'
	cmp "$W/cached.said" "$W/other.said" || fail "$how: a version tells more"
done
expect_eq "$(sim count)" "$asked" "requests of the store for strangers"
stop_worker
