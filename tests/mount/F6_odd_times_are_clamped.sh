# SPDX-License-Identifier: Apache-2.0
# F6: before 1970, year 9999 and later, garbage: some time, never a crash.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put d/old 'size=5&mtime=-86400' >"$W/o"
sim_put d/far 'size=5&mtime=253402300799' >"$W/o"
sim_put d/beyond 'size=5&listed=99999-01-01T00:00:00.000Z&last_modified=Fri,%2001%20Jan%2099999%2000:00:00%20GMT' >"$W/o"
sim_put d/garbage 'size=5&listed=yesterday&last_modified=yesterday' >"$W/o"
sim_put d/empty 'size=5&listed=&last_modified=' >"$W/o"
sim_put d/month 'size=5&listed=2024-13-45T25:61:61.000Z' >"$W/o"
sim_put d/good 'size=5&mtime=1700000000' >"$W/o"
for c in ttl:60s strict; do
	mount_tarn consistency=$c
	for f in old far beyond garbage empty month good; do
		expect_eq "$(sha "$MNT/d/$f")" "$(sim_sha d/$f)" "$f"
	done
	expect_eq "$(stat -c %Y "$MNT/d/good")" 1700000000
	expect_eq "$(stat -c %Y "$MNT/d/old")" 0
	# Times are kept in ns of 64 bits: the year 2262 is their last.
	expect_ge "$(stat -c %Y "$MNT/d/far")" 9223372035
	umount_tarn
done
