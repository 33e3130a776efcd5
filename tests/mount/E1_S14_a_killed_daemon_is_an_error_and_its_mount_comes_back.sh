# SPDX-License-Identifier: Apache-2.0
# E1, S14: the daemon is killed while files are open: who has one gets an error
# and does not hang. A mount on the same directory takes the dead one away, and
# what was closed is there at once, while the store still takes nothing, and in
# the store when that is back.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
make_file "$W/small" 300000 1
make_file "$W/large" 30000000 2
sim_put dir/old 'size=5000&seed=9' >"$W/o"
mount_wb() { mount_tarn rw,commit=writeback,part-size=5M,commit-timeout="${1-3s}"; }
none_staged() { [ -z "$(find "$W/staging" -mindepth 2 -type f)" ]; }
mount_wb 60s
pid=$(mount_pid)
sim_rule '{"name":"sync","op":"PUT","key":"dir/open-sync","status":503}'
for op in PUT COMPLETE; do
	sim_rule '{"name":"away'$op'","op":"'$op'","status":503}'
done
mkdir -p "$W/out"
cp "$W/small" "$MNT/dir/old"
cp "$W/large" "$MNT/dir/large"
cp "$W/small" "$MNT/top"
tried() { [ "$(sim_fired awayPUT)" -ge 2 ] && [ "$(sim_fired awayCOMPLETE)" -ge 1 ]; }
wait_for 20 tried
expect_ge "$(sim uploads)" 1 "uploads of it"
# One reads, one writes, one syncs what the store does not take.
cat >"$W/user.py" <<'PY'
import errno, os, sys
how, path, ready, go = sys.argv[1:]
fd = os.open(path, os.O_RDONLY if how == "read" else os.O_RDWR | os.O_CREAT)
if how != "read":
    os.write(fd, b"not closed")
open(ready, "w").close()
if how != "sync":
    with open(go) as f:
        f.read()
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)  # the kernel's own
said = []
for what in (lambda: os.pread(fd, 4096, 1 << 20) if how == "read" else
             os.fsync(fd) if how == "sync" else os.write(fd, b"x"),
             lambda: os.close(fd)):
    try:
        what()
        said.append("0")
    except OSError as e:
        said.append(errno.errorcode[e.errno])
print(*said)
PY
users=
for how in read write sync; do
	mkfifo "$W/go.$how"
	path=$MNT/dir/open-$how
	[ $how != read ] || path=$MNT/dir/large
	timeout 60 python3 "$W/user.py" $how "$path" "$W/ready.$how" "$W/go.$how" \
		>"$W/said.$how" 9>&- &
	users="$users $!"
done
for how in read write sync; do
	wait_for 20 test -e "$W/ready.$how"
done
syncs() { [ "$(sim_fired sync)" -ge 1 ]; }
wait_for 20 syncs
kill -9 "$pid"
wait_for 20 no_process "$pid"
: >"$W/go.read"
: >"$W/go.write"
for u in $users; do
	wait "$u" || fail "a user of a file hangs, or died"
done
for how in read write sync; do
	grep -qE '^(ENOTCONN|ECONNABORTED|EIO) ' "$W/said.$how" ||
		fail "$how: $(cat "$W/said.$how")"
done
if ls "$MNT" >"$W/o" 2>&1; then
	fail "the dead mount answers"
fi

mount_wb
grep -q 'removed the dead mount' "$W/mnt.log"
grep -q '3 files that a mount before this one was to commit' "$W/mnt.log"
check() {
	cmp "$W/small" "$MNT/dir/old"
	cmp "$W/large" "$MNT/dir/large"
	cmp "$W/small" "$MNT/top"
	expect_eq "$(stat -c %s "$MNT/dir/old")" 300000
}
check
expect_eq "$(cd "$MNT" && find . -type f | sort | tr '\n' ' ')" \
	'./dir/large ./dir/old ./top '
# Written on, removed and renamed as if nothing had been.
printf more >>"$MNT/top"
mv "$MNT/top" "$MNT/topmost"
cp "$W/small" "$MNT/top"
sim clear ''
gone_to_store() { [ "$(sim_sha topmost)" = "$(sha "$W/topmost")" ]; }
(cat "$W/small" && printf more) >"$W/topmost"
wait_for 30 gone_to_store
waits() { grep -ls '"acked": true' "$W"/staging/*/*.json; }
none_waits() { [ -z "$(waits)" ]; }
wait_for 30 none_waits
expect_eq "$(sim_sha dir/old)" "$(sha "$W/small")"
expect_eq "$(sim_sha dir/large)" "$(sha "$W/large")"
expect_eq "$(sim_sha top)" "$(sha "$W/small")"
rm "$MNT/top"
cp "$W/small" "$MNT/top"
check
wait_for 30 none_waits
# What nobody had closed is for recover, and by itself no object.
"$TARN" recover --staging-dir "$W/staging" --json >"$W/list"
expect_eq "$(json "$W/list" "sorted((f['state'], f['key']) for f in j['files'])")" \
	"[('interrupted', 'dir/open-sync'), ('interrupted', 'dir/open-write')]"
for how in sync write; do
	"$TARN" recover --staging-dir "$W/staging" --discard "$MNT/dir/open-$how"
done
umount_tarn
none_staged || fail "left: $(find "$W/staging" -mindepth 2 -type f)"
expect_eq "$(sim uploads)" 0 "uploads left"
