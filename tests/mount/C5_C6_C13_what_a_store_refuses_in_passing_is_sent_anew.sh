# SPDX-License-Identifier: Apache-2.0
# C5, C6, C13: a body that was spoilt on its way, an upload that the store has
# forgotten, and changes that get in each other's way: sent anew, within bounds;
# after that EIO, EIO, EBUSY, and the store has what it had.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
make_file "$W/small" 300000 1
make_file "$W/large" 23000000 2
mount_tarn rw,part-size=5M
cat >"$W/write.py" <<'PY'
"""Copy FROM to TO; prints what fsync and close said."""
import errno, os, sys
data = open(sys.argv[1], "rb").read()
fd = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
for at in range(0, len(data), 1 << 20):
    os.write(fd, data[at:at + (1 << 20)])
said = []
for what in os.fsync, os.close:
    try:
        what(fd)
        said.append("0")
    except OSError as e:
        said.append(errno.errorcode[e.errno])
print(*said)
PY
copy() { python3 "$W/write.py" "$W/$1" "$MNT/$2"; }
no_uploads() { [ "$(sim uploads)" -eq 0 ]; }
absent() { # KEY
	expect_eq "$(sim "head?bucket=bucket&key=$1" 2>&1 | grep -c '"size"')" 0 "$1 in the store"
	wait_for 20 no_uploads
}
right() { # KEY FILE
	expect_eq "$(sim_sha "$1")" "$(sha "$W/$2")" "$1"
	wait_for 20 no_uploads
}
# What was refused is told until it is dropped (S12).
drop() {
	"$TARN" recover --staging-dir "$W/staging" --discard "$MNT/$1"
	copy small "$1" >"$W/o"
	right "$1" small
}

# C5: once, or always.
for op in PUT PART; do
	src=small
	[ $op = PUT ] || src=large
	sim_rule "{\"name\":\"once-$op\",\"op\":\"$op\",\"corrupt\":true,\"count\":1}"
	expect_eq "$(copy $src "once-$op")" "0 0" "spoilt once"
	expect_fired "once-$op"
	right "once-$op" $src
	sim_rule "{\"name\":\"each-$op\",\"op\":\"$op\",\"corrupt\":true}"
	expect_eq "$(copy $src "each-$op")" "EIO EIO" "spoilt each time"
	expect_fired "each-$op" 2
	# A retry for each body, not a storm.
	expect_le "$(sim_fired "each-$op")" 10 "times that it was sent"
	sim clear ''
	absent "each-$op"
	drop "each-$op"
done

# C6: a rule of the bucket ends the upload, while the file is written or when
# it is about to be ended.
cat >"$W/forgotten.py" <<'PY'
import os, subprocess, sys, time
source, path, sim, key = sys.argv[1:]
def ask(what, body=None):
    cmd = ["curl", "-fsS"] + (["--data-binary", body] if body is not None else [])
    return subprocess.run(cmd + [sim + "/_sim/" + what], check=True,
                          capture_output=True, text=True).stdout
data = open(source, "rb").read()
fd = os.open(path, os.O_WRONLY | os.O_CREAT)
os.write(fd, data[:12000000])
while int(ask("count?op=PART&status=200&key=" + key)) < 2:
    time.sleep(0.02)
assert int(ask("uploads?key=" + key)) == 1
ask("abort?bucket=bucket&key=" + key, "")
assert int(ask("uploads?key=" + key)) == 0
os.write(fd, data[12000000:])
os.fsync(fd)
os.close(fd)
PY
python3 "$W/forgotten.py" "$W/large" "$MNT/forgotten" "$SIM" forgotten
right forgotten large
expect_eq "$(sim 'count?op=CREATE_UPLOAD&key=forgotten')" 2 "uploads begun"
for op in PART COMPLETE; do
	sim_rule "{\"name\":\"gone-$op\",\"op\":\"$op\",\"count\":1,\"status\":404,\"code\":\"NoSuchUpload\"}"
	expect_eq "$(copy large "gone-$op")" "0 0" "upload gone at $op"
	expect_fired "gone-$op"
	expect_eq "$(sim "count?op=CREATE_UPLOAD&key=gone-$op")" 2 "uploads begun"
	sim abort ''
	right "gone-$op" large
	sim_rule "{\"name\":\"never-$op\",\"op\":\"$op\",\"status\":404,\"code\":\"NoSuchUpload\"}"
	expect_eq "$(copy large "never-$op")" "EIO EIO" "always gone at $op"
	expect_fired "never-$op" 2
	expect_le "$(sim "count?op=CREATE_UPLOAD&key=never-$op")" 4 "uploads begun"
	sim clear ''
	sim abort ''
	absent "never-$op"
	drop "never-$op"
done

# C13: three times are survived, of an upload also when the store wants another
# for it; more are EBUSY.
for op in PUT COMPLETE; do
	src=small most=4
	[ $op = PUT ] || src=large most=8
	conflict="\"op\":\"$op\",\"status\":409,\"code\":\"ConditionalRequestConflict\""
	for times in 3 4; do
		[ "$times $op" != '4 PUT' ] || continue
		sim_rule "{\"name\":\"$times-$op\",\"count\":$times,$conflict}"
		expect_eq "$(copy $src "$times-$op")" "0 0" "conflicts that pass"
		expect_fired "$times-$op" $times
		right "$times-$op" $src
		[ $op = PUT ] ||
			expect_eq "$(sim "count?op=CREATE_UPLOAD&key=$times-$op")" $((times - 2)) "uploads begun"
	done
	sim_rule "{\"name\":\"busy-$op\",$conflict}"
	expect_eq "$(copy $src "busy-$op")" "EBUSY EBUSY" "conflicts that stay"
	expect_eq "$(sim_fired "busy-$op")" $most "times that it was tried"
	sim clear ''
	absent "busy-$op"
	drop "busy-$op"
done
umount_tarn
[ -z "$(find "$W/staging" -mindepth 2 -type f)" ] || fail "left: $(find "$W/staging" -type f)"
