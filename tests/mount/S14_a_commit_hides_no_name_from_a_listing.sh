# SPDX-License-Identifier: Apache-2.0
# S14, S9: a file that is committed while its directory is listed is in what the
# listing says, though the store's answer was made before that. Several times,
# with another file written meanwhile, as nobody can see from outside when the
# mount has done all that belongs to a commit.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put d/old 'size=5000&seed=9' >"$W/o"
held() { [ "$(sim_fired "$1")" -ge 1 ]; }
none_staged() { [ -z "$(find "$W/staging" -mindepth 2 -type f)" ]; }
committed() { curl -fsS "$SIM/_sim/get?bucket=bucket&key=$1" >"$W/o" 2>&1 && none_staged; }

# meets DIR/NAME: its commit ends between the store's listing and our answer.
meets() {
	sim_rule '{"name":"put","op":"PUT","hold":true}'
	echo bytes >"$MNT/$1" &
	writer=$!
	wait_for 20 held put
	sim_rule '{"name":"list","op":"LIST","key":"d/","after_bytes":60,"then":"hold"}'
	ls -U "$MNT/${1%/*}" >"$W/names" &
	lister=$!
	wait_for 20 held list
	sim release?rule=put ''
	wait_for 20 committed "$1"
	wait $writer
	echo more >"$MNT/other"
	sync "$MNT/other"
	wait_for 20 none_staged
	no_process $lister && fail "the listing did not wait"
	sim clear ''
	wait $lister
	expect_eq "$(grep -cx "${1#*/}" "$W/names")" 1 "times it is listed"
	expect_eq "$(grep -cx old "$W/names")" 1 "times another is listed"
}

for mode in writeback sync; do
	mount_tarn rw,commit=$mode
	for i in 1 2 3 4 5 6 7 8; do
		meets d/$mode$i
	done
	umount_tarn
done
