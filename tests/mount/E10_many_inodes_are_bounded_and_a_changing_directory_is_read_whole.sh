# SPDX-License-Identifier: Apache-2.0
# E10: a tree of many names is walked, forgotten by the kernel and walked again:
# memory stays bounded, and what is forgotten is freed. A large directory is
# read while it changes in the store, with seekdir to and fro: each name that
# stayed is there once, in the same place.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
# Sanitizers make it slow, and keep what was freed.
n=100000
case $BUILD in
*/plain) ;;
*) n=20000 ;;
esac
sim "many?bucket=bucket&prefix=big/&n=$n&size=1" ''
mount_tarn consistency=ttl:10m,prefetch=off
inodes() { mount_stat "$MNT" "m['inodes']"; }
memory() { # VmRSS or VmHWM, in KiB
	awk -v w="$1:" '$1 == w { print $2 }' "/proc/$(mount_pid)/status"
}
walk() { # with the size of each: an inode each
	expect_eq "$(find "$MNT/big" -type f -size 1c | wc -l)" $n "files"
}
known() { # all; unless another test has just had the kernel drop them
	walk
	[ "$(inodes)" -ge $((n / 2)) ]
}
wait_for 60 known
first=$(memory VmHWM)
case $BUILD in
*/plain) expect_le "$first" 90000 "KiB of memory at most" ;;
esac
if [ "$(id -u)" = 0 ]; then
	forgotten() {
		drop_caches
		[ "$(inodes)" -le $((n / 20)) ]
	}
	for _ in 1 2 3; do
		wait_for 30 forgotten
		wait_for 60 known
	done
	wait_for 30 forgotten
	echo "$n names: $first KiB at first, $(memory VmHWM) at most, $(memory VmRSS) in the end"
	case $BUILD in
	*/plain)
		expect_le "$(memory VmHWM)" $((first + first / 3 + 8192)) \
			"KiB of memory at most, after all walks"
		;;
	esac
	# Those that are open are not forgotten.
	exec 3<"$MNT/big/0000007"
	forgotten
	expect_ge "$(inodes)" 2 "inodes while one is open"
	expect_eq "$(sha /dev/fd/3)" "$(sim_sha big/0000007)" "the open one"
	exec 3<&-
fi
umount_tarn

# Of 20000 names every second one goes, and as many come, while it is read.
sim reset ''
sim 'bucket?name=bucket' ''
sim 'many?bucket=bucket&prefix=d/&n=20000&size=1' ''
mount_tarn consistency=ttl:1s,negative-ttl=100ms
cat >"$W/readdir.py" <<'PY'
import collections, ctypes, os, random, subprocess, sys, threading
path, sim, tarn = sys.argv[1:4]
libc = ctypes.CDLL(None, use_errno=True)
class Dirent(ctypes.Structure):
    _fields_ = [("ino", ctypes.c_uint64), ("off", ctypes.c_int64),
                ("len", ctypes.c_ushort), ("type", ctypes.c_ubyte),
                ("name", ctypes.c_char * 256)]
libc.opendir.restype = libc.readdir.restype = ctypes.c_void_p
libc.opendir.argtypes = [ctypes.c_char_p]
for f in ("readdir", "telldir", "closedir", "rewinddir"):
    getattr(libc, f).argtypes = [ctypes.c_void_p]
libc.telldir.restype = ctypes.c_long
libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]

def entry(d):
    ctypes.set_errno(0)
    p = libc.readdir(d)
    if not p:
        assert ctypes.get_errno() == 0, os.strerror(ctypes.get_errno())
        return None
    return Dirent.from_address(p).name.decode()

def names(d):
    return list(iter(lambda: entry(d), None))

before = ["%07d" % i for i in range(20000)]
gone = set(before[1::2])
stable = [n for n in before if n not in gone] + [".", ".."]
added = ["%sx" % n for n in before[::2]]

def change():
    urls = []
    for n in sorted(gone):
        urls.append("delete?bucket=bucket&key=d/" + n)
    for n in added:
        urls.append("put?bucket=bucket&size=1&key=d/" + n)
    conf = "next\n".join('url = "%s/_sim/%s"\ndata-binary = ""\n'
                         'output = /dev/null\nfail\n' % (sim, u) for u in urls)
    done.append(subprocess.run(["curl", "-sS", "-K", "-"],
                               input=conf.encode()).returncode)

def once(got, at):
    n = collections.Counter(got)
    bad = [s for s in stable if n[s] != 1]
    assert not bad, "%s: %d stable names not once: %s" % (at, len(bad), bad[:3])
    twice = [s for s in n if n[s] > 1]
    assert not twice, "%s: twice: %s" % (at, twice[:3])

d = libc.opendir(path.encode())
old, places = [], {}
for i in range(6000):
    old.append(entry(d))
    places[i + 1] = libc.telldir(d)
done = []
changer = threading.Thread(target=change)
changer.start()
rounds = 0
# Others list it anew, which is what takes the place of the kernel's entries.
while changer.is_alive() or rounds < 3:
    subprocess.check_call([tarn, "invalidate", path])
    other = libc.opendir(path.encode())
    once(names(other), "a new listing")
    libc.closedir(other)
    for _ in range(500):
        name = entry(d)
        if name is not None:
            old.append(name)
            places[len(old)] = libc.telldir(d)
    rounds += 1
changer.join()
assert done == [0], "curl: %s" % done
rest = names(d)
old += rest
once(old, "the open directory")
g = random.Random(5)
for i in g.sample(sorted(places), 300):
    libc.seekdir(d, places[i])
    got = entry(d)
    assert got == (old[i] if i < len(old) else None), "after seekdir to %d" % i
libc.rewinddir(d)
once(names(d), "after rewinddir")
libc.closedir(d)
subprocess.check_call([tarn, "invalidate", path])
d = libc.opendir(path.encode())
got = names(d)
once(got, "after the change")
assert set(got) == set(stable) | set(added), "other names after the change"
seen = sum(n in gone for n in old), sum(n.endswith("x") for n in old)
print(rounds, *seen)
PY
lists=$(sim 'count?op=LIST')
python3 "$W/readdir.py" "$MNT/d" "$SIM" "$TARN" >"$W/rounds"
echo "rounds, names seen that went, names seen that came: $(cat "$W/rounds")"
expect_ge "$(cut -d' ' -f1 "$W/rounds")" 3 "listings while it changed"
expect_ge "$(sim 'count?op=LIST')" $((lists + 60)) "LISTs of a directory that changed"
umount_tarn
