# SPDX-License-Identifier: Apache-2.0
# E6: with 64 descriptors, 200 files open at once: each is read right or
# ENFILE/EMFILE; afterwards all are read.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
need_command prlimit
start_store
sim_put_files f 1 200 70000 0
TARN_WRAP="prlimit --nofile=64:64"
mount_tarn read-timeout=10s
pid=$(mount_pid)
expect_eq "$(awk '/Max open files/ { print $5 }' "/proc/$pid/limits")" 64 "its limit"
python3 - "$MNT" <<'PY'
import errno, os, sys
fds, refused = [], 0
for i in range(1, 201):
    try:
        fd = os.open("%s/f%d" % (sys.argv[1], i), os.O_RDONLY)
        fds.append(fd)
        assert len(os.pread(fd, 70000, 0)) == 70000
    except OSError as e:
        assert e.errno in (errno.ENFILE, errno.EMFILE), e
        refused += 1
print(len(fds), "opened,", refused, "refused")
PY
i=0
while [ $i -lt 200 ]; do
	i=$((i + 20))
	expect_eq "$(sha "$MNT/f$i")" "$(sim_sha f$i)" "f$i afterwards"
done
expect_eq "$(mount_pid)" "$pid" "the daemon"
umount_tarn
