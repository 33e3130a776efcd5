# SPDX-License-Identifier: Apache-2.0
# S12, C9: the kernel tells of the last close of a file later than the close
# itself. By then the next program may have emptied it, or have written half of
# what it writes: that is not committed, but what each close says.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
mount_tarn rw
cat >"$W/often.py" <<'PY'
import os, sys
for i in range(500):
    fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.pwrite(fd, b"%04d" % i, 0)
    os.pwrite(fd, b"%04d" % i, 4)
    os.close(fd)
PY
python3 "$W/often.py" "$MNT/f"
expect_eq "$(sim 'count?op=PUT&key=f')" 500 "PUTs of 500 closes"
umount_tarn
