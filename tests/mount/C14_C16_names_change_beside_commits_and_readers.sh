# SPDX-License-Identifier: Apache-2.0
# C14, C16, S2, S19, S21: names that are moved and removed while a commit of
# theirs runs, while somebody reads them, and by two mounts in turn.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
CACHE_DIR=$W/c1 mount_tarn -n one rw,negative-ttl=60s
CACHE_DIR=$W/c2 mount_tarn -n two rw,negative-ttl=60s
make_file "$W/large" 30000000 1
make_file "$W/small" 100000 2
held() { [ "$(sim_fired gate)" -ge 1 ]; }

# A rename while fsync's commit runs: the object is there under its new name
# when close returns, and under it alone.
for src in small large; do
	op=PUT
	[ $src = small ] || op=COMPLETE
	sim_rule "{\"name\":\"gate\",\"op\":\"$op\",\"hold\":true}"
	cat >"$W/move.py" <<'PY'
import os, sys, threading
src, tmp, final = sys.argv[1:]
fd = os.open(tmp, os.O_WRONLY | os.O_CREAT)
with open(src, "rb") as f:
    os.write(fd, f.read())
t = threading.Thread(target=os.fsync, args=(fd,))
t.start()
sys.stdin.readline()
m = threading.Thread(target=os.rename, args=(tmp, final))
m.start()
m.join(1)
print("moving", flush=True)
t.join()
m.join()
os.close(fd)
print("done")
PY
	mkfifo "$W/go.$src"
	python3 "$W/move.py" "$W/$src" "$W/one/tmp.$src" "$W/one/final.$src" \
		<"$W/go.$src" >"$W/moved" &
	mover=$!
	exec 5>"$W/go.$src"
	wait_for 20 held
	echo go >&5
	exec 5>&-
	wait_for 20 grep -q moving "$W/moved"
	sim release?rule=gate ''
	sim clear ''
	wait $mover
	expect_eq "$(sim_sha "final.$src")" "$(sha "$W/$src")" "$src moved"
	expect_eq "$(sha "$W/one/final.$src")" "$(sha "$W/$src")" "$src read"
	[ ! -e "$W/one/tmp.$src" ] || fail "tmp.$src is still there"
	expect_eq "$(sim 'head?bucket=bucket&key=tmp.'$src | grep -c size)" 0 "tmp.$src in the store"
done

# cp, Ctrl-C, rm: what was removed does not come back.
sim_rule '{"name":"gate","op":"PUT","delay_ms":2000}'
python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp("cp", ["cp"] + sys.argv[1:])' "$W/small" "$W/one/gone" &
writer=$!
wait_for 20 held
kill -INT $writer
wait_for 5 no_process $writer
rm "$W/one/gone"
# What was on its way is answered.
answered() { ! sim 'journal?key=gone' | grep -q '"done": *false'; }
wait_for 20 answered
sim clear ''
[ ! -e "$W/one/gone" ] || fail "gone is back"
CACHE_DIR=$W/c3 mount_tarn -n three
[ ! -e "$W/three/gone" ] || fail "gone is in the store"
umount_tarn three

# A file that is read while it is moved: the reader has its version as far as it
# can, and the new name is read by everybody at once.
sim_put read 'size=30000000&seed=4' >"$W/o"
want=$(sim_sha read)
exec 6<"$W/two/read"
head -c 100 <&6 >"$W/o"
mv "$W/two/read" "$W/two/moved"
expect_eq "$(sha "$W/two/moved")" "$want" "under its new name"
exec 6<&-

# A reader that stays does not keep the path at what was written here.
cp "$W/small" "$W/one/path"
exec 5>>"$W/one/path"
exec 6<"$W/one/path"
echo end >&5
exec 5>&-
want=$({ cat "$W/small" && echo end; } | sha -)
appended() { [ "$(sim_sha path)" = "$want" ]; }
wait_for 20 appended
cp "$W/large" "$W/two/other"
mv "$W/two/other" "$W/two/path"
"$TARN" invalidate "$W/one/path"
expect_eq "$(sha "$W/one/path")" "$(sha "$W/large")" "what the other put there"
echo more >>"$W/one/path"
expect_eq "$(wc -c <"$W/one/path")" 30000005 "appended to it"
expect_eq "$(wc -c <&6)" 100004 "what the reader has"
exec 6<&-

# What is open here and was replaced by another host is not moved as what it
# was, and nothing is replaced by it.
cp "$W/small" "$W/one/open"
cp "$W/small" "$W/one/target"
exec 5>>"$W/one/open"
cp "$W/large" "$W/two/other"
mv "$W/two/other" "$W/two/open"
! mv "$W/one/open" "$W/one/target" 2>"$W/err" || fail "it was moved"
grep -q Stale "$W/err" || fail "$(cat "$W/err")"
exec 5>&-
expect_eq "$(sim_sha target)" "$(sha "$W/small")" "target"
expect_eq "$(sim_sha open)" "$(sha "$W/large")" "open"

# Somebody else removes the old name before the rename does: this mount, which
# had made it, does not say that it is there.
cp "$W/small" "$W/one/fading"
sim_rule '{"name":"gate","op":"DELETE","hold":true}'
mv "$W/one/fading" "$W/one/faded" &
mover=$!
wait_for 20 held
sim 'delete?bucket=bucket&key=fading' ''
sim release?rule=gate ''
sim clear ''
wait $mover
[ ! -e "$W/one/fading" ] || fail "fading is still there"
expect_eq "$(sha "$W/one/faded")" "$(sha "$W/small")" "faded"

# Two mounts take turns with one name.
for n in 1 2 3 4; do
	for m in one two; do
		echo "$m $n" >"$W/$m/latest.$m"
		mv "$W/$m/latest.$m" "$W/$m/latest"
		expect_eq "$(cat "$W/$m/latest")" "$m $n"
	done
done
no_errors one two
umount_tarn one
umount_tarn two
