# SPDX-License-Identifier: Apache-2.0
# A27: objects are created, replaced and deleted elsewhere while names and
# attributes are believed for two seconds. What is opened is always one
# version, as long as its size says; what changed is seen when its time has
# passed; listings and stats may differ meanwhile, by no more.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put d/f 'size=100001&seed=1' >"$W/o"
sim_put d/gone 'size=100&seed=1' >"$W/o"
mount_tarn consistency=ttl:2s,negative-ttl=1s
# Of each version of d/f its size names its bytes: 100000 and its seed.
cat >"$W/reader.py" <<'PY'
import hashlib, os, sys, time
path, sums, stop = sys.argv[1:4]
known = dict(line.split() for line in open(sums))
opens = stale = 0
seen = set()
while not os.path.exists(stop):
    try:
        with open(path, "rb") as f:
            size = os.fstat(f.fileno()).st_size
            data = f.read()
    except OSError as e:
        if e.errno != 116:
            raise
        stale += 1
        continue
    opens += 1
    seen.add(size)
    assert len(data) == size, "size %d, bytes %d" % (size, len(data))
    assert hashlib.sha256(data).hexdigest() == known[str(size)], "mixed: %d" % size
    open(stop + ".begun", "w").close()
    time.sleep(0.01)
print(opens, stale, *sorted(seen))
PY
for n in 1 2 3 4; do
	sim_put "v/$n" "size=10000$n&seed=$n" >"$W/o"
	echo "10000$n $(sim_sha v/$n)"
done >"$W/sums"
python3 "$W/reader.py" "$MNT/d/f" "$W/sums" "$W/stop" >"$W/read" 2>"$W/reader.err" &
reader=$!
wait_for 20 test -e "$W/stop.begun"
size_is() { [ "$(stat -c %s "$MNT/d/f")" = "$1" ]; }
for n in 2 3 4; do
	sim_put d/f "size=10000$n&seed=$n" >"$W/o"
	began=$(date +%s%3N)
	wait_for 10 size_is 10000$n
	took=$(($(date +%s%3N) - began))
	expect_le $took 3500 "ms until version $n was seen, by ttl:2s"
done
: >"$W/stop"
wait $reader || fail "reader: $(tail -n 1 "$W/reader.err")"
echo "opens, stale ones, sizes seen: $(cat "$W/read")"
# It was there when the versions changed.
read -r opens _ sizes <"$W/read"
expect_ge "$opens" 100 "opens"
expect_ge "$(echo "$sizes" | wc -w)" 3 "versions that the reader saw"

# Created after we were told that it is absent.
expect_errno ENOENT stat "$MNT/d/new"
sim_put d/new 'size=10&seed=1' >"$W/o"
began=$(date +%s%3N)
wait_for 10 test -s "$MNT/d/new"
expect_le $(($(date +%s%3N) - began)) 4500 "ms until it was seen, by negative-ttl and ttl"
ls "$MNT/d" >"$W/o"

# Deleted after it was listed: still there, or not, but never something else.
ls -l "$MNT/d" >"$W/o"
sim 'delete?bucket=bucket&key=d/gone' ''
began=$(date +%s%3N)
absent() { ! stat "$MNT/d/gone"; }
wait_for 10 absent
expect_le $(($(date +%s%3N) - began)) 4500 "ms until it was gone"
expect_errno ENOENT cat "$MNT/d/gone"
unlisted() { ls "$MNT/d" >"$W/ls" && ! grep -q gone "$W/ls"; }
wait_for 10 unlisted
umount_tarn
