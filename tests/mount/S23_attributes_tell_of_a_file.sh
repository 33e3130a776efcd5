# SPDX-License-Identifier: Apache-2.0
# S23: extended attributes say which version a file is of, how far what was
# written is on its way to the store, and which worker owns it.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put old 'size=1000&seed=1' >"$W/o"
start_worker -n one
one=${WORKER#http://}
start_worker -n two
two=${WORKER#http://}
attr() { # NAME PATH: its value, or the error's name
	python3 -c 'import errno, os, sys
try:
    print(os.getxattr(sys.argv[2], "user.tarn." + sys.argv[1]).decode())
except OSError as e:
    print(errno.errorcode[e.errno])' "$1" "$2"
}
names() { # PATH
	python3 -c 'import os, sys
print(*(n.rsplit(".")[-1] for n in os.listxattr(sys.argv[1])))' "$1"
}

mount_tarn "rw,workers=$one+$two,cluster-key-file=$W/cluster.key,commit-timeout=5s"
expect_eq "$(attr commit "$MNT/old")" committed
expect_eq "$(names "$MNT/old")" "etag version storage_class cached commit owner"
expect_eq "$(attr commit "$MNT")" ENODATA "of a directory"
expect_eq "$(attr nonsense "$MNT/old")" ENODATA

# While it is written: no version yet.
cat >"$W/write.py" <<'PY'
import errno, os, sys, threading, time, urllib.request
path, sim = sys.argv[1:]


def attr(name):
    try:
        return os.getxattr(path, "user.tarn." + name).decode()
    except OSError as e:
        return errno.errorcode[e.errno]


def ask(what, body=None):
    with urllib.request.urlopen(sim + "/_sim/" + what, body, 60) as r:
        return r.read().decode()


fd = os.open(path, os.O_WRONLY | os.O_CREAT)
os.write(fd, b"some")
assert attr("commit") == "dirty", attr("commit")
assert [attr(n) for n in ("etag", "version", "cached")] == ["ENODATA"] * 3
assert os.listxattr(path) == ["user.tarn.commit", "user.tarn.owner"]
ask("rules", b'{"name":"gate","op":"PUT","key":"new","hold":true}')
t = threading.Thread(target=os.fsync, args=(fd,))
t.start()
while int(ask("fired?rule=gate")) == 0:
    time.sleep(0.02)
assert attr("commit") == "committing", attr("commit")
ask("release?rule=gate", b"")
ask("clear", b"")
t.join()
assert attr("commit") == "committed", attr("commit")
os.write(fd, b"more")
assert attr("commit") == "dirty", attr("commit")
os.close(fd)
assert attr("commit") == "committed", attr("commit")
PY
python3 "$W/write.py" "$MNT/new" "$SIM"

# What failed: of the path that its writer had.
sim_rule '{"name":"no","op":"PUT","key":"old","status":403,"code":"AccessDenied"}'
if dd if=/dev/zero of="$MNT/old" bs=10 count=1 2>"$W/err"; then
	fail "written in spite of it"
fi
expect_fired no
sim clear ''
expect_eq "$(attr commit "$MNT/old")" "failed: Permission denied"
expect_eq "$(sha "$MNT/old")" "$(sim_sha old)" "what the store has"
"$TARN" recover --staging-dir "$W/staging" --discard "$MNT/old"
expect_eq "$(attr commit "$MNT/old")" committed "after it was dropped"

# The owner is who `tarn ring` says.
for f in old new; do
	"$TARN" ring --json "$MNT/$f" >"$W/ring.json"
	expect_eq "$(attr owner "$MNT/$f")" \
		"$(json "$W/ring.json" "j['files'][0]['segments'][0]['workers'][0]")" "owner of $f"
done
umount_tarn
stop_worker one
stop_worker two

# Without writing, without workers.
mount_tarn
expect_eq "$(names "$MNT/old")" "etag version storage_class cached commit"
expect_eq "$(attr commit "$MNT/old") $(attr owner "$MNT/old")" "committed ENODATA"
umount_tarn
