# SPDX-License-Identifier: Apache-2.0
# C9, C14, S10, S21: the daemon dies at each step of commits and renames, and of
# what ends a rename that was interrupted, at the first time that it gets there
# and at later ones, while a program writes. The next mount, whose cache is
# empty, has each file as acknowledged last or as it was on its way, whole.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
die_at_each rw,part-size=5M 5 \
	staged-recorded commit-put upload-recorded part-sent commit-complete \
	commit-made commit-adopted commit-recorded \
	rename-recorded rename-copied rename-removed rename-done rename-dropped \
	resume-copied resume-removed
# Each of the last two needs one that dies before.
expect_eq "$kills" $((5 * (13 + 2 * 2))) "times it was killed"
