# SPDX-License-Identifier: Apache-2.0
# D9: when the store fails in the middle of a body the connection ends; no
# client takes what came for the whole. A failure before it is an S3 error.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
start_store
sim_put a 'size=9000000&seed=1' >"$W/o"
sim_put b 'size=500000&seed=2' >"$W/o"
start_worker read-timeout=2s,metadata-timeout=2s
sim_rule '{"name":"late","op":"GET","key":"a","count":1,"after_bytes":300000,"then":"rst"}'
sim_rule '{"name":"dead","op":"GET","key":"a","status":500}'
curl_says=0
worker_curl /bucket/a -f -o "$W/a" || curl_says=$?
[ $curl_says -ne 0 ] || fail "a cut body looked complete"
expect_fired late
curl -fsS "$SIM/_sim/get?bucket=bucket&key=a" >"$W/want"
[ ! -e "$W/a" ] || cmp -n "$(stat -c %s "$W/a")" "$W/a" "$W/want"
# A mount has its headers by then: the connection is reset.
curl_says=0
worker_curl /bucket/a -o "$W/framed" -D "$W/head" -H 'x-tarn-protocol: 1' \
	-H 'Range: bytes=4194304-5242879' 2>"$W/o" || curl_says=$?
grep -q '^HTTP/1.1 206' "$W/head"
case $curl_says in
18 | 56) ;;
*) fail "curl says $curl_says of a framed body that cannot come" ;;
esac
sim_rule '{"name":"never","op":"GET","key":"b","status":500}'
expect_eq "$(worker_code /bucket/b)" 502
grep -q '<Code>ServiceUnavailable</Code>' "$W/answer"
sim 'clear' ''
sim_rule '{"name":"odd","op":"GET","key":"b","status":400}'
expect_eq "$(worker_code /bucket/b)" 502
grep -q '<Code>InternalError</Code>' "$W/answer"
sim 'clear' ''
expect_eq "$(worker_code /bucket/a)" 200
cmp "$W/answer" "$W/want"
expect_eq "$(worker_code /bucket/b)" 200
expect_eq "$(sha "$W/answer")" "$(sim_sha b)"
stop_worker
