# SPDX-License-Identifier: Apache-2.0
# numpy, HDF5, safetensors, Parquet and WebDataset write on a mount what they
# write on a local disk; the store is sent little more, and another mount reads
# it.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
need_clients h5py numpy pyarrow safetensors
start_store
mount_tarn rw,part-size=5M
mkdir "$W/twin"
"$CLIENTS_PYTHON" "$HELPERS/training.py" programs "$MNT" "$W/twin" "$SIM"
expect_eq "$(sim uploads)" 0 "uploads left"
mkdir -m 700 "$W/cache2"
CACHE_DIR=$W/cache2 mount_tarn -n other
"$CLIENTS_PYTHON" "$HELPERS/training.py" programs "$W/other" "$W/twin"
no_errors mnt other
umount_tarn
umount_tarn other
