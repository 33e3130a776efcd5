# SPDX-License-Identifier: Apache-2.0
# A file that was closed is read at once, and later from the cache's disk, and
# the store is asked for no byte of it; small ones leave nothing in the staging.
# stores: objsim versitygw
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
mount_tarn rw
cat >"$W/both.py" <<'PY'
import os, sys
for i in range(300):
    path = "%s/%d" % (sys.argv[1], i)
    data = os.urandom([1, 4096, 70001, 1 << 20][i % 4])
    with open(path, "wb", buffering=0) as f:
        f.write(data)
    with open(path, "rb") as f:
        assert f.read() == data, path
    with open("%s/%d" % (sys.argv[2], i), "wb") as f:
        f.write(data)
PY
mkdir "$W/same" "$MNT/dir"
gets=$(store_count GET)
python3 "$W/both.py" "$MNT/dir" "$W/same"
expect_eq "$(store_count GET)" "$gets" "GETs of what was just written"
umount_tarn
expect_eq "$(find "$W/staging" -mindepth 2 -type f | wc -l)" 0 "files left in the staging"
# By another mount, what the cache's disk has.
mount_tarn
gets=$(store_count GET)
diff -r "$W/same" "$MNT/dir"
expect_eq "$(store_count GET)" "$gets" "GETs of what the cache was given"
umount_tarn
