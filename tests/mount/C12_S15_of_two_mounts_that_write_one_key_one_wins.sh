# SPDX-License-Identifier: Apache-2.0
# C12, C15, S15: of two mounts that write one key the second to commit is told
# so, and nothing of it is in the store; conflict=last-wins has it the other
# way; of many that make one file with O_EXCL just one makes it.
# stores: file objsim versitygw minio
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
printf first >"$W/first"
store_put there "$W/first"
CACHE_DIR=$W/c1 mount_tarn -n one rw
CACHE_DIR=$W/c2 mount_tarn -n two rw
CACHE_DIR=$W/c3 mount_tarn -n three rw,conflict=last-wins
cat >"$W/race.py" <<'PY'
import errno, os, sys
name, flags, mounts = sys.argv[1], sys.argv[2], sys.argv[3:]
how = {"make": os.O_CREAT, "excl": os.O_CREAT | os.O_EXCL, "upon": 0,
       "empty": os.O_TRUNC}[flags]
fds = [os.open(m + "/" + name, os.O_RDWR | how, 0o644) for m in mounts]
for i, fd in enumerate(fds):
    os.pwrite(fd, b"mount %d" % i, 0)
said = []
for fd in fds:
    try:
        os.close(fd)
        said.append("0")
    except OSError as e:
        said.append(errno.errorcode[e.errno])
print(*said)
PY
race() { python3 "$W/race.py" "$@"; }
told() { # NAME: two, which lost, hears of it until that is dropped (S12)
	expect_errno ESTALE cp "$W/first" "$W/two/$1"
	"$TARN" recover --staging-dir "$W/staging" --discard "$W/two/$1"
}
holds() { # NAME BYTES: the store, asked by a mount that knows nothing
	rm -rf "$W/c9"
	CACHE_DIR=$W/c9 mount_tarn -n fresh
	expect_eq "$(cat "$W/fresh/$1")" "$2" "$1"
	umount_tarn fresh
}
expect_eq "$(race new make "$W/one" "$W/two")" "0 ESTALE" "made by both"
holds new 'mount 0'
expect_eq "$(race excl excl "$W/one" "$W/two")" "0 EEXIST" "with O_EXCL"
holds excl 'mount 0'
expect_eq "$(race there upon "$W/one" "$W/two")" "0 ESTALE" "opened by both"
holds there 'mount 0'
told there
# The same bytes would be the same version to the store.
printf second >"$W/one/there"
expect_eq "$(race there empty "$W/one" "$W/two")" "0 ESTALE" "emptied by both"
holds there 'mount 0'
told there
expect_eq "$(race there empty "$W/one" "$W/three")" "0 0" "last-wins"
holds there 'mount 1'

# Then it may write again: it is another open, which sees what there is.
printf again >"$W/two/there"
holds there again

# Sixteen at once, on two mounts.
cat >"$W/excl.py" <<'PY'
import errno, os, sys
children = []
for i in range(16):
    pid = os.fork()
    if pid == 0:
        try:
            fd = os.open(sys.argv[1 + i % 2] + "/one", os.O_WRONLY |
                         os.O_CREAT | os.O_EXCL)
            os.write(fd, b"%02d" % i)
            os.close(fd)
        except OSError as e:
            os._exit(0 if e.errno == errno.EEXIST else 3)
        os._exit(1)
    children.append(pid)
codes = [os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]) for p in children]
print(codes.count(1), codes.count(3), codes.index(1))
PY
# shellcheck disable=SC2046 # three words
set -- $(python3 "$W/excl.py" "$W/one" "$W/two")
expect_eq "$1 $2" "1 0" "winners, and other errors than EEXIST"
holds one "$(printf %02d "$3")"
for m in one two three; do
	umount_tarn $m
done
