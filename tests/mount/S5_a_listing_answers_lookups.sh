# SPDX-License-Identifier: Apache-2.0
# S5, S6: a fresh listing answers stats of what it holds and of what it does
# not, with no request; N files are listed by LIST pages, not HEADs.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
i=0
while [ $i -lt 25 ]; do
	curl -fsS --data-binary '' \
		"$SIM/_sim/put?bucket=bucket&key=d/[1-100]-$i&size=1" >"$W/o"
	i=$((i + 1))
done
mount_tarn
expect_eq "$(ls "$MNT/d" | wc -l)" 2500 names
lists=$(sim 'count?op=LIST')
sim forget ''
expect_eq "$(find "$MNT/d" -type f -size 1c | wc -l)" 2500 "files of one byte"
expect_errno ENOENT stat "$MNT/d/none"
expect_eq "$(sim count)" 0 "requests of 2500 stats"
expect_le "$lists" 6 "LISTs of three pages"
umount_tarn
