# SPDX-License-Identifier: Apache-2.0
# S12, T2: what a program wrote is in the store when its close returns, also
# when it wrote by a shared mapping, of whose pages the kernel does not say whose
# they are, or while another's commit was on its way.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
make_file "$W/data" 300000 1
cp "$W/data" "$W/twin"
store_put f "$W/data"
mount_tarn rw
cat >"$W/map.py" <<'PY'
import errno, mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
m = mmap.mmap(fd, 0)
m[100000:100005] = sys.argv[2].encode()
m.close()
try:
    os.close(fd)
    print("0")
except OSError as e:
    print(errno.errorcode[e.errno])
os.system("curl -fsS '%s/_sim/get?bucket=bucket&key=f' >'%s'"
          % (os.environ["SIM"], sys.argv[3]))
PY
export SIM
expect_eq "$(python3 "$W/map.py" "$MNT/f" HELLO "$W/got")" 0
python3 "$W/map.py" "$W/twin" HELLO "$W/o"
cmp "$W/twin" "$W/got"
sim_rule '{"name":"no","op":"PUT","status":403,"code":"AccessDenied"}'
expect_eq "$(python3 "$W/map.py" "$MNT/f" WORLD "$W/got")" EACCES
cmp "$W/twin" "$W/got"
sim clear ''


# A new file whose name another had that is still open: its close tells.
cat >"$W/again.py" <<'PY'
import errno, os, sys
old = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
os.unlink(sys.argv[1])
try:
    os.close(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT))
    print("0")
except OSError as e:
    print(errno.errorcode[e.errno])
PY
sim_rule '{"name":"no","op":"PUT","status":403,"code":"AccessDenied"}'
expect_eq "$(python3 "$W/again.py" "$MNT/again")" EACCES
sim clear ''

# One closes, its commit is held; another writes then, and closes; a third has
# the file open all the time, so that no close is the last one.
printf aaaaaa >"$W/six"
store_put g "$W/six"
sim_rule '{"name":"gate","op":"PUT","key":"g","hold":true,"count":1}'
cat >"$W/two.py" <<'PY'
import os, sys, time
path, go = sys.argv[1:]
keep = os.open(path, os.O_RDWR)
def child(at, what, wait):
    pid = os.fork()
    if pid == 0:
        fd = os.open(path, os.O_WRONLY)
        while wait and not os.path.exists(go):
            time.sleep(0.01)
        os.pwrite(fd, what, at)
        if wait:
            open(go + ".wrote", "w").close()
            while not os.path.exists(go + ".close"):
                time.sleep(0.01)
        os.close(fd)
        os._exit(0)
    return pid
late = child(4, b"!!", True)
os.waitpid(child(0, b"bb", False), 0)
open(go + ".close", "w").close()
os.waitpid(late, 0)
os.system("curl -fsS '%s/_sim/get?bucket=bucket&key=g'" % os.environ["SIM"])
PY
python3 "$W/two.py" "$MNT/g" "$W/go" >"$W/got" &
writers=$!
held() { [ "$(sim_fired gate)" -ge 1 ]; }
wait_for 20 held
: >"$W/go"
wait_for 20 test -e "$W/go.wrote"
sim release?rule=gate ''
wait $writers
expect_eq "$(cat "$W/got")" 'bbaa!!'
umount_tarn
