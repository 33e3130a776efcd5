# SPDX-License-Identifier: Apache-2.0
# PyTorch itself: torch.save, also beside and then renamed, and checkpoints of
# torch.distributed, each read by torch.load, with mmap and without, here and on
# another mount. The store is sent little more than they have. The machine has
# to have PyTorch: nothing installs it, for it takes gigabytes.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
need_clients torch numpy
start_store
mount_tarn rw,part-size=5M
mkdir "$W/twin"
"$CLIENTS_PYTHON" "$HELPERS/training.py" torch "$MNT" "$W/twin" "$SIM"
expect_eq "$(sim uploads)" 0 "uploads left"
mkdir -m 700 "$W/cache2"
CACHE_DIR=$W/cache2 mount_tarn -n other
"$CLIENTS_PYTHON" "$HELPERS/training.py" torch "$W/other" "$W/twin"
no_errors mnt other
umount_tarn
umount_tarn other
