# SPDX-License-Identifier: Apache-2.0
# 2 % of the answers take 3 s. Most of those requests are sent a second time
# and answered at once; few others are.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put big 'size=17179869184&seed=1' >"$W/o"
sim_rule '[{"name":"slow","op":"GET","probability":0.02,"seed":7,"delay_ms":3000},
	{"name":"far","op":"GET","delay_ms":20}]'
mount_tarn cache-size=0,memory=1G
python3 "$HELPERS/pressure.py" "$MNT/big" 16 "$W/stop" >"$W/pressure" &
readers=$!
enough() { [ "$(sim_fired slow)" -ge 60 ]; }
wait_for 60 enough
: >"$W/stop"
wait $readers
read -r reads errors slow longest why <"$W/pressure"
expect_eq "$errors" 0 "reads that failed ($why) of $reads"
fired=$(sim_fired slow)
gets=$(sim 'count?op=GET')
hedges=$(mount_stat "$MNT" "m['counters']['store_hedges']")
wins=$(mount_stat "$MNT" "m['counters']['store_hedge_wins']")
echo "$gets GETs, $fired slow, $hedges hedges, $wins won; $slow reads above 1 s, the longest $longest s"
expect_ge "$hedges" $((fired / 2)) "hedges"
expect_le "$hedges" $((gets / 20)) "hedges"
expect_ge "$wins" $((hedges * 3 / 4)) "hedges that won"
expect_le "$slow" $((fired / 2)) "reads that waited for a slow answer"
umount_tarn
