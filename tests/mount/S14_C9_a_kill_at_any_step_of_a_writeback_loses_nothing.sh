# SPDX-License-Identifier: Apache-2.0
# S14, C9, C11, C14, S17: with commit=writeback the daemon dies at each step of a
# commit and of a rename, at the first time that it gets there and at later ones,
# while a program writes or while it commits what the one before was to. The next
# mount, whose cache is empty, has each file as its close was told last or as it
# was on its way, whole.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
die_at_each rw,part-size=5M,commit=writeback 4 \
	staged-recorded commit-put upload-recorded part-sent commit-complete \
	commit-made commit-adopted commit-recorded \
	rename-recorded rename-copied rename-removed rename-done rename-dropped \
	resume-copied resume-removed
# Each of the last two needs one that dies before.
expect_eq "$kills" $((4 * (13 + 2 * 2))) "times it was killed"
