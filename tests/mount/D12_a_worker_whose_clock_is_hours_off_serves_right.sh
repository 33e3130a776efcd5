# SPDX-License-Identifier: Apache-2.0
# D12: a worker's clock is three hours ahead, or behind. It learns the store's
# time and reads from it; it takes only what was signed at its own time, and
# says in Date which that is, so that mounts learn it; what it says of objects,
# and how long it believes it, is as ever.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
start_store
for n in 1 2; do
	sim_put f$n "size=3000000&seed=$n" >"$W/o"
done
seconds() { # of a Date header
	date -d "$(sed -n "s/^$1: //Ip" "$W/head" | tr -d '\r')" +%s
}
real=$(command -v curl)
for ahead in 10800 -10800; do
	off="env CLOCK_AHEAD=$ahead LD_PRELOAD=$SHIMS/libclock.so"
	TARN_WRAP=$off
	start_worker consistency=ttl:2s
	TARN_WRAP=
	expect_eq "$(worker_code /bucket/f1 -D "$W/head")" 403 "signed at another time"
	grep -q '<Code>RequestTimeTooSkewed</Code>' "$W/answer"
	apart=$(($(seconds date) - $(date +%s) - ahead))
	expect_le ${apart#-} 60 "seconds between what it should say and says"
	# From here on curl has the worker's time.
	curl() { $off "$real" "$@"; }
	for n in 1 2; do
		expect_eq "$(worker_code /bucket/f$n -D "$W/head")" 200 "f$n"
		mv "$W/answer" "$W/f$n"
	done
	unset -f curl
	for n in 1 2; do
		expect_eq "$(sha "$W/f$n")" "$(sim_sha f$n)" "bytes of f$n"
	done
	apart=$(($(seconds last-modified) - $(date +%s)))
	expect_le ${apart#-} 600 "seconds since the object was made"
	expect_le "$(sed -n 's/^age: //Ip' "$W/head" | tr -d '\r')" 60 "its age"
	# A new version is seen when the time to live has passed.
	sim_put f1 "size=1000000&seed=$((ahead + 20000))" >"$W/o"
	want=$(sim_sha f1)
	newer() {
		$off "$real" -sS --aws-sigv4 aws:amz:us-east-1:s3 --user "tarn:$CLUSTER_KEY" \
			-H "x-amz-content-sha256: $EMPTY_SHA256" "$WORKER/bucket/f1" -o "$W/answer"
		[ "$(sha "$W/answer")" = "$want" ]
	}
	wait_for 30 newer
	grep -q "s from this host" "$W/worker.log" || fail "it did not learn the time of the store"
	stop_worker
done
