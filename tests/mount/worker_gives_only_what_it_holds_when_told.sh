# SPDX-License-Identifier: Apache-2.0
# Cache-Control: only-if-cached: what a worker does not hold, all of it, is 504,
# and the store hears nothing of it, not even a HEAD. What it holds comes as
# ever, of a version that If-Match names also when what is known of it is old,
# and after a restart.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
start_store
sim_put d/small 'size=100000&seed=1' >"$W/o"
sim_put d/large 'size=9000000&seed=2' >"$W/o"
sim_put d/never 'size=100000&seed=3' >"$W/o"
for key in small large; do
	curl -fsS "$SIM/_sim/get?bucket=bucket&key=d/$key" >"$W/$key"
done
start_worker consistency=ttl:1s
asked() { echo "$(sim 'count?op=GET') $(sim 'count?op=HEAD') $(sim 'count?op=LIST')"; }
held() { # KEY [CURL-ARGUMENT...]
	held_key=$1
	shift
	worker_code "/bucket/d/$held_key" -H 'Cache-Control: only-if-cached' -D "$W/head" "$@"
}

before=$(asked)
for key in small large never none; do
	expect_eq "$(held $key)" 504 "$key"
	grep -q '<Code>NotHeld</Code>' "$W/answer"
	expect_eq "$(held $key -H 'x-tarn-protocol: 1' -H 'Range: bytes=0-65535' \
		-H 'If-Match: "0123456789abcdef"')" 504 "$key of a mount"
	grep -qi '^x-tarn-protocol: 1' "$W/head"
	expect_eq "$(held $key -I)" 504 "HEAD of $key"
done
expect_eq "$(asked)" "$before" "GET, HEAD, LIST"

expect_eq "$(worker_code /bucket/d/small)" 200
small=$(worker_curl /bucket/d/small -I | sed -n 's/^[Ee][Tt]ag: //p' | tr -d '\r')
expect_eq "$(worker_code /bucket/d/large -H 'Range: bytes=65536-1114111')" 206
large=$(worker_curl /bucket/d/large -I | sed -n 's/^[Ee][Tt]ag: //p' | tr -d '\r')
before=$(asked)
expect_eq "$(held small)" 200
cmp "$W/answer" "$W/small"
parts() {
	expect_eq "$(held small -H "If-Match: $small")" 200 "the small one"
	cmp "$W/answer" "$W/small"
	expect_eq "$(held large -H "If-Match: $large" -H 'Range: bytes=65536-1114111')" 206
	tail -c +65537 "$W/large" | head -c 1048576 | cmp - "$W/answer"
	expect_eq "$(held large -H "If-Match: $large" -H 'x-tarn-protocol: 1' \
		-H 'Range: bytes=131072-262143')" 206
	expect_eq "$(held large -H "If-Match: $large")" 504 all
	expect_eq "$(held large -H "If-Match: $large" -H 'Range: bytes=65535-131071')" 504 "a byte less"
	expect_eq "$(held large -H "If-Match: $large" -H 'Range: bytes=1114111-1114112')" 504 "a byte more"
	expect_eq "$(held small -H 'If-Match: "other"')" 504 "another version"
	expect_eq "$(asked)" "$before" "GET, HEAD, LIST: $1"
}
parts fresh
too_old() { [ "$(held small)" = 504 ]; }
wait_for 20 too_old
parts old
expect_eq "$(held small -H 'If-Match: *')" 504 "any version"
expect_eq "$(asked)" "$before" "GET, HEAD, LIST: any version"
# A listing is what a restart leaves of what was known.
worker_curl '/bucket?delimiter=%2F&list-type=2&prefix=d%2F' -f >"$W/o"
stop_worker
start_worker consistency=ttl:1s
before=$(asked)
parts "after a restart"
stop_worker
