# SPDX-License-Identifier: Apache-2.0
# F8, S23, S28: an archived object is EACCES and says why; a gzip one is its
# stored bytes.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put cold 'size=5000&storage_class=GLACIER' >"$W/o"
sim_put packed 'size=5000&seed=4&encoding=gzip' >"$W/o"
mount_tarn
expect_errno EACCES cat "$MNT/cold"
expect_eq "$(python3 -c 'import os, sys
print(os.getxattr(sys.argv[1], "user.tarn.storage_class").decode())' "$MNT/cold")" GLACIER
expect_eq "$(sha "$MNT/packed")" "$(sim_sha packed)" "stored bytes"
umount_tarn
