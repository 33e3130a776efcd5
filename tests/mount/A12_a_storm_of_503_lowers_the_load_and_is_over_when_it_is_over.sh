# SPDX-License-Identifier: Apache-2.0
# A12: nine of ten answers are 503 SlowDown for 20 s. The store is asked far
# less, no reader sees an error, and within 30 s of its end the throughput is
# what it was.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put big 'size=17179869184&seed=1' >"$W/o"
far='{"name":"far","op":"GET","delay_ms":400}'
sim_rule "[$far]"
mount_tarn cache-size=0,memory=1G
python3 "$HELPERS/pressure.py" "$MNT/big" 64 "$W/stop" >"$W/pressure" &
readers=$!
pause() { # SECONDS: a length of time is what the row asks for
	end=$(($(date +%s) + $1))
	until_end() { [ "$(date +%s)" -ge $end ]; }
	wait_for $(($1 + 5)) until_end
}
pause 5
sim clear ''
sim_rule '[{"name":"storm","op":"GET","probability":0.9,"seed":3,"delay_ms":5,
	"status":503,"code":"SlowDown"},'"$far]"
pause 20
limit=$(mount_stat "$MNT" "m['counters']['store_limit']")
expect_fired storm 50
sim clear ''
sim_rule "[$far]"
pause 30
: >"$W/stop"
wait $readers
read -r reads errors _ longest why <"$W/pressure"
expect_eq "$errors" 0 "reads that failed ($why) of $reads, the longest $longest s"
sim 'journal?op=GET' >"$W/journal"
python3 - "$W/journal" <<'PY'
import json, sys
all = json.load(open(sys.argv[1]))
bad = [e["at_ms"] for e in all if e["status"] == 503]
begin, end = min(bad), max(bad)
def rate(a, b, status=None):
    n = sum(a <= e["at_ms"] < b and status in (None, e["status"]) for e in all)
    return n / ((b - a) / 1000)
before = rate(begin - 3000, begin)
storm = rate(begin + 5000, begin + 19000)
series = [round(rate(end + s * 1000, end + s * 1000 + 1000, 206)) for s in range(30)]
print("and after it:", series)
back = next(s for s in range(60) if
            rate(end + s * 1000, end + s * 1000 + 2000, 206) >= 0.5 * before)
print("requests a second: %.0f before, %.0f in the storm, half %d s after it"
      % (before, storm, back))
assert before > 80, "too few requests to say anything: %.0f/s" % before
assert storm <= before / 8, "the load did not fall"
assert back <= 28, "did not recover"
PY
expect_le "$limit" 8 "requests at a time in the storm"
expect_eq "$(mount_stat "$MNT" "m['counters']['store_throttled']")" \
	"$(sim 'count?status=503')" "refusals counted"
expect_ge "$(mount_stat "$MNT" "m['counters']['store_retry_waits']")" 1 "retries held back"
umount_tarn
