# SPDX-License-Identifier: Apache-2.0
# S15: a mount that nobody told rw puts nothing before something is changed.
# What the store does with conditions it knows all the same, from the first
# change on an earlier mount of this host, one with rw, or tarn doctor: a store
# that ignores them is named at once, until that is old, or of another store.
# Only the first mount of a host says that it is not known yet. The first change
# of each finds it out again.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
conditions() { mount_stat "$MNT" "m['commits']['conditions']"; }
since() { mount_stat "$MNT" "m['commits']['conditions_at']"; }
is() { [ "$(conditions)" = "$1" ]; }
trials() { sim 'count?op=PUT&key=.tarn-*'; }
lines() { grep -c "$1" "$W/mnt.log" || true; }
note() { ls "$W"/staging/conditions-*; }
begin() { # [OPTIONS]: a mount of which nothing is known before
	sim forget ''
	rm -f "$W/mnt.log"
	mount_tarn ${1+"$1"}
}
unknown() { # at the mount
	is unknown || fail "it is $(conditions)"
	expect_eq "$(since)" 0
	expect_eq "$(lines 'not known yet .*first change.*tarn doctor')" 1 "lines"
	expect_eq "$(trials)" 0 "trials"
}
named() { # ignored or refused, at the mount
	year=$(date -u -d "@$(since)" +%Y)
	is "$1" || fail "it is $(conditions)"
	expect_eq "$(lines " warn .*If-Match is $1 .*found out on $year-")" 1 \
		"lines of the log"
	expect_eq "$(lines 'not known')" 0 "lines that say otherwise"
	grep -q "note .*$2 If-Match" "$W/mnt.out" || fail "$(cat "$W/mnt.out")"
	"$TARN" status "$MNT" >"$W/o"
	grep -q "conditions .*$1 by the store, as of $year-.*doctor" "$W/o" ||
		fail "status: $(cat "$W/o")"
	expect_eq "$(trials)" 0 "trials"
}

# By the first change.
sim settings '{"conditions":false}'
begin
unknown
[ -z "$(find "$W/staging" -name 'conditions-*')" ] || fail "kept what nobody knew"
began=$(date +%s)
mkdir "$MNT/d"
wait_for 20 is ignored
umount_tarn
expect_eq "$(stat -c %a "$(note)")" 600 "mode of the note"
json "$(note)" "j['store']" >"$W/o"
expect_eq "$(cat "$W/o")" "$SIM/bucket" "its store"
begin
named ignored ignores
expect_ge "$(since)" "$began" "when"
# That is no news.
rmdir "$MNT/d"
renewed() { [ "$(trials)" = 1 ]; }
wait_for 20 renewed
umount_tarn
expect_eq "$(lines ' warn .*If-Match')" 1 "lines of the log"

# Where nothing is bound, or written, nothing is said.
for how in ro conflict=last-wins; do
	begin "$how"
	is unknown
	expect_eq "$(lines If-Match)" 0 "lines with $how"
	umount_tarn
done

# Another store is not known by it; nor is this one when it is long ago, or the
# note is not what was written. A link is not followed, a pipe not waited for.
cp "$(note)" "$W/note"
kept=$(note)
for spoilt in old soon store word torn empty large symlink fifo; do
	rm -f "$kept"
	case $spoilt in
	symlink) ln -s "$W/note" "$kept" ;;
	fifo) mkfifo "$kept" ;;
	*) python3 - "$W/note" "$kept" $spoilt <<'PY' ;;
import json, sys
text = open(sys.argv[1]).read()
j, how = json.loads(text), sys.argv[3]
day = 86400
j.update({"old": {"at": j["at"] - 31 * day}, "soon": {"at": j["at"] + 2 * day},
          "store": {"store": j["store"] + "2"},
          "word": {"if-match": "unknown"}}.get(how, {}))
text = {"torn": text[:-2], "empty": "", "large": text + " " * 5000}.get(
    how, json.dumps(j))
open(sys.argv[2], "w").write(text)
PY
	esac
	begin
	unknown
	umount_tarn
done
rm -f "$kept"
sim 'bucket?name=other' ''
cp "$W/note" "$kept"
SOURCE=s3://other begin
unknown
umount_tarn
# A name of its own for the cache is none for the server.
begin store-id=mine
named ignored ignores
umount_tarn
begin
named ignored ignores
# It has got better: the change finds that out, and keeps it.
sim settings '{"conditions":true}'
mkdir "$MNT/e"
wait_for 20 is obeyed
umount_tarn
expect_eq "$(lines ' info .*If-Match is obeyed by the store by now')" 1 "lines"
begin
is obeyed
expect_eq "$(lines If-Match)" 0 "lines"
umount_tarn

# By a mount with rw; where that finds out nothing, from before.
sim_rule '{"name":"none","op":"PUT","key":".tarn-*","status":501,"code":"NotImplemented"}'
begin rw
is refused
umount_tarn
begin
named refused refuses
umount_tarn
sim clear ''
sim_rule '{"name":"no","op":"PUT","status":403,"code":"AccessDenied"}'
begin rw
expect_fired no
is refused
expect_eq "$(lines ' warn .*If-Match is refused .*found out on')" 1 "lines"
umount_tarn
sim clear ''

# By tarn doctor, which makes no staging-dir for it, and says nothing then.
rm -rf "$W/staging"
sim settings '{"conditions":false}'
doctor() {
	rc=0
	timeout 100 "$TARN" doctor "$SOURCE" \
		-o "$STORE_OPTS,cache-dir=$CACHE,passthrough=off,log-level=info" \
		>"$W/doctor" 2>&1 || rc=$?
	expect_eq "$rc" 1 "exit of doctor: $(cat "$W/doctor")"
	grep -q 'FAIL  conditions .*If-Match ignored' "$W/doctor" ||
		fail "$(cat "$W/doctor")"
}
doctor
[ ! -e "$W/staging" ] || fail "doctor made the staging-dir"
begin
unknown
umount_tarn
doctor
begin
named ignored ignores
umount_tarn
