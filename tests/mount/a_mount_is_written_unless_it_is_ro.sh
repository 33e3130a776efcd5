# SPDX-License-Identifier: Apache-2.0
# A mount that was told nothing can be written; ro and rw say which. It costs
# one that only reads nothing: no PUT is sent before something is changed. Keys
# that may only read read; the first write is EACCES, and the log names the
# right that is missing.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put d/f 'size=5000&seed=1' >"$W/o"
writes() { # of the store, since it was forgotten
	n=0
	for op in PUT COPY DELETE CREATE_UPLOAD PART PART_COPY ABORT COMPLETE; do
		n=$((n + $(sim "count?op=$op")))
	done
	echo "$n"
}
is() { # ro or rw
	grep -q " $MNT fuse.tarn $1," /proc/self/mounts ||
		fail "not $1: $(grep " $MNT " /proc/self/mounts)"
	[ "$(mount_stat "$MNT" "m['read_only']")" = "$([ "$1" = ro ] && echo True || echo False)" ] ||
		fail "status does not say $1"
}

sim forget ''
mount_tarn
is rw
expect_eq "$(mount_stat "$MNT" "m['options']['ro']")" \
	"{'value': 'off', 'from': 'default'}"
expect_eq "$(sha "$MNT/d/f")" "$(sim_sha d/f)"
ls -lR "$MNT" >"$W/o"
df "$MNT" >"$W/o"
test -w "$MNT/d/f"
test -w "$MNT/d"
expect_eq "$(stat -c %a "$MNT/d/f" "$MNT/d" | tr '\n' ' ')" "644 755 "
expect_eq "$(writes)" 0 "writes of a mount that reads"
expect_eq "$(mount_stat "$MNT" "m['commits']['conditions']")" unknown
# What the store does with conditions is found out once, by the first change.
echo text >"$MNT/new"
obeyed() { [ "$(mount_stat "$MNT" "m['commits']['conditions']")" = obeyed ]; }
wait_for 20 obeyed
mkdir "$MNT/made"
echo more >"$MNT/made/new"
expect_eq "$(sim 'count?op=PUT&key=.tarn-*')" 1 "trials"
expect_eq "$(sim_sha new)" "$(echo text | sha -)"
umount_tarn

mount_tarn ro
is ro
expect_errno EROFS touch "$MNT/x"
umount_tarn
# What is said for a whole host stays, unless the command says otherwise.
export TARN_RO=on
mount_tarn
is ro
umount_tarn
mount_tarn rw
is rw
umount_tarn
unset TARN_RO

# Keys that may only read.
sim_rule '{"name":"no","op":"PUT","status":403,"code":"AccessDenied"}'
sim forget ''
mount_tarn
is rw
expect_eq "$(sha "$MNT/d/f")" "$(sim_sha d/f)"
expect_eq "$(writes)" 0 "writes of a mount that reads"
expect_errno EACCES cp "$MNT/d/f" "$MNT/copy"
grep -q ' err .*copy: cannot be committed: .*s3:PutObject.*mount with ro' "$W/mnt.log" ||
	fail "the log: $(cat "$W/mnt.log")"
refused() { [ "$(mount_stat "$MNT" "m['commits']['refused']")" = True ]; }
wait_for 20 refused
warned() {
	grep -q ' warn .*keys may not write.*s3:PutObject.*mount with ro' "$W/mnt.log"
}
wait_for 20 warned
"$TARN" status "$MNT" >"$W/o"
grep -q 'refused .*may not write' "$W/o" || fail "$(cat "$W/o")"
expect_errno EACCES mkdir "$MNT/dir"
expect_eq "$(sha "$MNT/d/f")" "$(sim_sha d/f)"
"$TARN" recover "$MNT/copy" --discard
umount_tarn
