# SPDX-License-Identifier: Apache-2.0
# The system calls of torch.save, its checkpoints and of other programs of
# training make on a mount the files that they make on a local disk; the store is
# sent no more than 2 % beside them, and another mount reads them.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
mount_tarn rw,part-size=5M
mkdir "$W/twin"
python3 "$HELPERS/training.py" calls "$MNT" "$W/twin" "$SIM"
expect_eq "$(sim uploads)" 0 "uploads left"
mkdir -m 700 "$W/cache2"
CACHE_DIR=$W/cache2 mount_tarn -n other
python3 "$HELPERS/training.py" calls "$W/other" "$W/twin"
no_errors mnt other
umount_tarn
umount_tarn other
