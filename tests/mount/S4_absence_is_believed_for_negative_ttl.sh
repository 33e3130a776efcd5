# SPDX-License-Identifier: Apache-2.0
# S4: an absent name is asked for once within negative-ttl.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put other/f 'size=1' >"$W/o"
mount_tarn negative-ttl=1h
expect_errno ENOENT stat "$MNT/none"
sim forget ''
for _ in 1 2 3 4 5; do
	expect_errno ENOENT stat "$MNT/none"
done
expect_eq "$(sim count)" 0 "requests for what is absent"
umount_tarn
