# SPDX-License-Identifier: Apache-2.0
# A12: a store that says 429, or 503 with Retry-After, is not asked for the
# same again before that time has passed, and no reader sees an error.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
for f in seconds none far; do
	sim_put $f 'size=1000&seed=1' >"$W/o"
done
sim_rule '[{"name":"seconds","op":"GET","key":"seconds","count":2,"status":429,
		"code":"TooManyRequests","headers":{"Retry-After":"2"}},
	{"name":"none","op":"GET","key":"none","count":3,"status":429,
		"code":"TooManyRequests"},
	{"name":"far","op":"GET","key":"far","status":503,"code":"SlowDown",
		"headers":{"Retry-After":"3600"}}]'
mount_tarn read-timeout=8s,prefetch=off
throttled() { mount_stat "$MNT" "m['counters']['store_throttled']"; }
# The least time between two requests for it, in ms.
pause() {
	sim "journal?op=GET&key=$1" >"$W/journal"
	json "$W/journal" 'min(b["at_ms"] - a["at_ms"] for a, b in zip(j, j[1:]))'
}
expect_eq "$(sha "$MNT/seconds")" "$(sim_sha seconds)"
expect_eq "$(sim_fired seconds)" 2 "answers 429"
expect_ge "$(pause seconds)" 2000 "ms until it was asked again"
expect_eq "$(sha "$MNT/none")" "$(sim_sha none)"
expect_eq "$(sim_fired none)" 3 "answers 429"
expect_eq "$(throttled)" 5 "refusals counted"
# An hour is longer than anybody waits: an error by the deadline, not a storm.
expect_errno ETIMEDOUT cat "$MNT/far"
expect_fired far
expect_le "$(sim_fired far)" 12 "requests within the deadline"
sim clear ''
expect_eq "$(sha "$MNT/far")" "$(sim_sha far)" "after the fault"
umount_tarn
