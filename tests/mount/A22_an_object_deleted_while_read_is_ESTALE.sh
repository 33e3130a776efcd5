# SPDX-License-Identifier: Apache-2.0
# A22: the open handle reads what is cached, else ESTALE; a new open is ENOENT.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put f 'size=40000000&seed=1' >"$W/o"
mount_tarn consistency=strict,readahead=1M
cat >"$W/read.py" <<'PY'
import errno, os, subprocess, sys
path, sim = sys.argv[1:3]
want = subprocess.check_output(["curl", "-fsS", sim + "/_sim/get?bucket=bucket&key=f"])
fd = os.open(path, os.O_RDONLY)
assert os.pread(fd, 4096, 0) == want[:4096]
subprocess.check_call(["curl", "-fsS", "-X", "POST", sim + "/_sim/delete?bucket=bucket&key=f"])
stale = 0
for off in range(0, len(want), 1 << 20):
    try:
        assert os.pread(fd, 4096, off) == want[off:off + 4096], off
    except OSError as e:
        assert e.errno == errno.ESTALE, e
        stale += 1
assert stale > 0, "nothing was stale"
try:
    os.open(path, os.O_RDONLY)
    raise SystemExit("opened what was deleted")
except OSError as e:
    assert e.errno == errno.ENOENT, e
PY
python3 "$W/read.py" "$MNT/f" "$SIM"
umount_tarn
