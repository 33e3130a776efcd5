# SPDX-License-Identifier: Apache-2.0
# S14, S12, S16, E7: with commit=writeback a close returns while the store takes
# nothing; the file is there under its name all the time, as it was written, and
# the store gets it when it is back, or has room. fsync waits for the store.
# Another's file is not replaced: the next open for writing tells it. A mount that
# ends while the store is away says so, and the next one brings it there.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
make_file "$W/small" 300000 1
make_file "$W/large" 30000000 2
make_file "$W/other" 200000 3
sim_put old 'size=5000&seed=9' >"$W/o"
mount_wb() { mount_tarn rw,commit=writeback,part-size=5M,commit-timeout=3s; }
waiting() { grep -ls '"acked": true' "$W"/staging/*/*.json; }
none_waits() { [ -z "$(waiting)" ]; }
staged_files() { find "$W/staging" -mindepth 2 -type f; }
none_staged() { [ -z "$(staged_files)" ]; }
away() {
	for op in PUT CREATE_UPLOAD PART COMPLETE; do
		sim_rule '{"name":"away'$op'","op":"'$op'","status":503}'
	done
}

mount_wb
"$TARN" status --json "$MNT" >"$W/status"
away
cp "$W/small" "$MNT/small"
cp "$W/large" "$MNT/large"
cp "$W/other" "$MNT/old"
expect_eq "$(waiting | wc -l)" 3 "files that wait"
tried() { [ "$(sim_fired awayPUT)" -ge 1 ] && [ "$(sim_fired awayCREATE_UPLOAD)" -ge 1 ]; }
wait_for 20 tried
# Each is what was written, by every way to it.
inodes=$(stat -c %i "$MNT/small" "$MNT/large" "$MNT/old")
for f in small large; do
	cmp "$W/$f" "$MNT/$f"
	expect_eq "$(stat -c %s "$MNT/$f")" "$(stat -c %s "$W/$f")"
done
cmp "$W/other" "$MNT/old"
expect_eq "$(cd "$MNT" && echo *)" 'large old small'
# Written again, in part and as a whole, and closed; removed; by a new name.
printf more >>"$MNT/large"
printf more >>"$W/large"
cmp "$W/large" "$MNT/large"
for i in 1 2 3; do
	head -c "$((i * 1000))" "$W/small" >"$MNT/old"
done
cp "$W/other" "$MNT/gone"
rm "$MNT/gone"
[ ! -e "$MNT/gone" ] || fail "it is still there"
cp "$W/other" "$MNT/tmp"
mv "$MNT/tmp" "$MNT/moved"
cmp "$W/other" "$MNT/moved"
head -c 3000 "$W/small" | cmp - "$MNT/old"
expect_eq "$(sim 'count?op=DELETE')" 0 "objects removed that never were"
sim clear ''
wait_for 30 none_staged
expect_eq "$(sim_sha large)" "$(sha "$W/large")"
expect_eq "$(sim_sha small)" "$(sha "$W/small")"
expect_eq "$(sim_sha old)" "$(head -c 3000 "$W/small" | sha -)"
expect_eq "$(sim_sha moved)" "$(sha "$W/other")"
expect_eq "$(sim uploads)" 0 "uploads left"
expect_eq "$(stat -c %i "$MNT/small" "$MNT/large" "$MNT/old")" "$inodes" "inodes"
for f in gone tmp; do
	if curl -fsS "$SIM/_sim/get?bucket=bucket&key=$f" >"$W/o" 2>&1; then
		fail "$f is in the store"
	fi
done

# An fsync waits for the store, of what another has closed before as well.
sim_rule '{"name":"gate","op":"PUT","hold":true}'
cp "$W/small" "$MNT/synced"
sync "$MNT/synced" &
syncer=$!
held() { [ "$(sim_fired gate)" -ge 1 ]; }
wait_for 20 held
no_process $syncer && fail "an fsync did not wait"
sim release?rule=gate ''
sim clear ''
wait $syncer
expect_eq "$(sim_sha synced)" "$(sha "$W/small")"
wait_for 20 none_staged

# What is open is not seen by others before its close, whatever follows.
sim_rule '{"name":"gate","op":"PUT","key":"log","hold":true,"count":1}'
expect_eq "$(sim_fired gate)" 0
cp "$W/small" "$MNT/log"
wait_for 20 held
cat >"$W/open.py" <<'PY'
import subprocess, sys
path, sim = sys.argv[1:]
with open(path, "wb", buffering=0) as f:
    f.write(b"begun\n")
    subprocess.run(["curl", "-fsS", "-d", "", sim + "/_sim/release?rule=gate"],
                   check=True)
    got = subprocess.run(["curl", "-fsS", sim + "/_sim/get?bucket=bucket&key=log"],
                         capture_output=True).stdout
    f.write(b"ended\n")
sys.stdout.buffer.write(got)
PY
python3 "$W/open.py" "$MNT/log" "$SIM" >"$W/got"
# It got there whole, or it did not.
[ ! -s "$W/got" ] || cmp "$W/got" "$W/small"
wait_for 20 none_staged
expect_eq "$(sim_sha log)" "$(printf 'begun\nended\n' | sha -)"
sim clear ''

# A store that is full takes it when there is room again; the log says so, once.
sim_rule '{"name":"full","op":"PUT","status":507}'
cp "$W/small" "$MNT/full-1"
cp "$W/other" "$MNT/full-2"
full() { [ "$(sim_fired full)" -ge 3 ]; }
wait_for 30 full
expect_eq "$(mount_stat "$MNT" "len(m['commits']['failed'])")" 0
if sync "$MNT/full-1" 2>"$W/err"; then fail "a full store took an fsync"; fi
grep -q 'No space left' "$W/err" || fail "$(cat "$W/err")"
cmp "$W/small" "$MNT/full-1"
expect_eq "$(grep -c 'the store is full' "$W/mnt.log")" 1 "times it was said"
sim clear ''
wait_for 60 none_staged
expect_eq "$(sim_sha full-1)" "$(sha "$W/small")"
expect_eq "$(sim_sha full-2)" "$(sha "$W/other")"

# Somebody else's is not replaced, and the next who would write hears of it.
sim_rule '{"name":"gate","op":"PUT","key":"old","status":503}'
expect_eq "$(sim_fired gate)" 0
cp "$W/small" "$MNT/old"
wait_for 20 held
sim_put old 'size=7000&seed=5' >"$W/o"
theirs=$(sim_sha old)
sim clear ''
told() { [ "$(mount_stat "$MNT" "len(m['commits']['failed'])")" = 1 ]; }
wait_for 20 told
expect_eq "$(sim_sha old)" "$theirs"
expect_errno ESTALE cp "$W/other" "$MNT/old"
"$TARN" status "$MNT" | grep -q 'not in the store: old, .*Stale'
"$TARN" recover --staging-dir "$W/staging" --discard "$MNT/old"
cp "$W/other" "$MNT/old"
wait_for 20 none_staged
expect_eq "$(sim_sha old)" "$(sha "$W/other")"

# The mount ends: in order, and while the store is away.
cp "$W/small" "$MNT/last"
umount_tarn
expect_eq "$(sim_sha last)" "$(sha "$W/small")"
none_staged || fail "left: $(staged_files)"
mount_wb
away
cp "$W/large" "$MNT/kept"
cp "$W/other" "$MNT/last"
umount_tarn
grep -q 'the store does not have what was written to 2 files' "$W/mnt.log"
"$TARN" recover --staging-dir "$W/staging" --json >"$W/list"
expect_eq "$(json "$W/list" "[(f['state'], f['whole']) for f in j['files']]")" \
	"[('waiting', True), ('waiting', True)]"
mount_wb
cmp "$W/large" "$MNT/kept"
cmp "$W/other" "$MNT/last"
sim clear ''
wait_for 30 none_staged
expect_eq "$(sim_sha kept)" "$(sha "$W/large")"
expect_eq "$(sim_sha last)" "$(sha "$W/other")"
umount_tarn
expect_eq "$(sim uploads)" 0 "uploads left"
