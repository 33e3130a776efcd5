# SPDX-License-Identifier: Apache-2.0
# E4: in a cgroup of 128 MiB with memory=64M, 64 writers and 16 readers at once,
# and a slow store: nothing is killed, the daemon's own count and what it has
# resident stay within its budget, and all bytes are right.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
case $BUILD in
*/plain) ;;
*) skip "a sanitized build has a multiple of its memory" ;;
esac
start_store
own_cgroup memory
limit_file=memory.max events=memory.events peak_file=memory.peak
if [ $group_version = 1 ]; then
	limit_file=memory.limit_in_bytes events=memory.oom_control
	peak_file=memory.max_usage_in_bytes
fi
[ -e "$group/$peak_file" ] || skip "no $peak_file"
echo 134217728 >"$group/$limit_file"
i=0
while [ $i -lt 16 ]; do
	i=$((i + 1))
	sim_put r$i "size=6000000&seed=$i" >"$W/o"
	sim_sha r$i >"$W/want.r$i"
done
mount_tarn rw,part-size=5M,memory=64M,passthrough=off
pid=$(mount_pid)
grep -qF "${group##*/}" "/proc/$pid/cgroup" || fail "not in the cgroup"
limit=$(mount_stat "$MNT" "m['memory']['limit']")
expect_le "$limit" 67108864 "memory"
# All of them wait for the store at the same time.
sim_rule '{"name":"slow","op":"PART","delay_ms":300}'
cat >"$W/write.py" <<'PY'
"""64 writers: in order, in rewrites, over objects that are there."""
import hashlib, os, random, sys, threading
mnt, out = sys.argv[1:]
failed = []
def write(i):
    rnd = random.Random(i)
    size = 5500000 if i % 4 else 12000000
    data = bytearray(rnd.randbytes(size))
    path = "%s/w%d" % (mnt, i)
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT)
        for at in range(0, size, 1 << 18):
            os.pwrite(fd, data[at:at + (1 << 18)], at)
        if i % 2:
            os.fsync(fd)
            for j in range(20):
                at = rnd.randrange(size - 1000)
                data[at:at + 1000] = rnd.randbytes(1000)
                os.pwrite(fd, data[at:at + 1000], at)
        os.close(fd)
    except OSError as e:
        failed.append((i, e))
    sums[i] = hashlib.sha256(data).hexdigest()
sums = {}
threads = [threading.Thread(target=write, args=(i,)) for i in range(64)]
for t in threads:
    t.start()
for t in threads:
    t.join()
with open(out, "w") as f:
    for i, s in sums.items():
        print("w%d" % i, s, file=f)
sys.exit(str(failed) if failed else 0)
PY
python3 "$W/write.py" "$MNT" "$W/sums" 8>&- 9>&- &
writers=$!
i=0 readers=
while [ $i -lt 16 ]; do
	i=$((i + 1))
	{
		got=$(dd if="$MNT/r$i" bs=1M status=none | sha256sum | cut -d' ' -f1)
		[ "$got" = "$(cat "$W/want.r$i")" ] || echo "r$i" >>"$W/wrong"
	} &
	readers="$readers $!"
done
# What is looked at while they run.
most=0
while ! no_process $writers; do
	used=$(mount_stat "$MNT" "m['memory']['used']")
	[ "$used" -le "$most" ] || most=$used
done
wait $writers || fail "a writer failed"
# shellcheck disable=SC2086 # several
wait $readers
[ ! -s "$W/wrong" ] || fail "wrong: $(head -n 3 "$W/wrong")"
expect_fired slow 64
while read -r name want; do
	expect_eq "$(sim_sha "$name")" "$want" "$name"
done <"$W/sums"
expect_eq "$(wc -l <"$W/sums")" 64 "files"
peak=$(cat "$group/$peak_file")
echo "memory used: $most of $limit; the group's peak: $peak"
expect_le "$most" "$limit" "memory used"
# What the kernel keeps of the staged files is the group's, too.
expect_ge "$peak" 130000000 "bytes of the group, at most"
expect_eq "$(mount_pid)" "$pid" "the daemon"
expect_eq "$(awk '$1 == "oom_kill" { print $2 }' "$group/$events")" 0 "OOM kills"
# What it has itself, without what the kernel keeps of files for it.
had=$(awk '/^VmHWM/ { print $2 * 1024 }' "/proc/$pid/status")
expect_le "$had" $((limit + 16777216)) "bytes resident, with its code"
umount_tarn
expect_eq "$(sim uploads)" 0 "uploads left"
