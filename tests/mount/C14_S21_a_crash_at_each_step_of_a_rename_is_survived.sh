# SPDX-License-Identifier: Apache-2.0
# C14, S21, INV5: the daemon dies at each step of a rename. The new name is
# never missing in the store, however often it is asked; the next mount ends the
# rename, and leaves no old name, no upload and no record behind.
# stores: objsim versitygw
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
make_file "$W/old" 300000 1
make_file "$W/new" 200000 2

no_records() { [ -z "$(find "$W/staging" -name '*.rename*')" ]; }
keys() { s3 keys | tr '\n' ' '; }
leaves_nothing() { # AFTER
	wait_for 20 no_records
	expect_eq "$(keys)" "to " "keys after $1"
	expect_eq "$(s3 uploads)" "" "uploads after $1"
	expect_eq "$(sha "$MNT/to")" "$(sha "$W/new")" "the new name after $1"
	[ ! -e "$MNT/from" ] || fail "the old name is there after $1"
	umount_tarn
	expect_eq "$(find "$W/staging" -mindepth 2 -type f)" "" "left in the staging after $1"
}

# The point, what the store has then, and whether the new name was there before.
die_at() { # POINT KEYS REPLACES(yes, no)
	store_put from "$W/new"
	store_delete to
	if [ "$3" = yes ]; then
		store_put to "$W/old"
		start_watch to "$W/old" "$W/new"
	fi
	mount_to_die "$1" rw
	if mv "$MNT/from" "$MNT/to" 2>"$W/err"; then
		fail "renamed by the dead at $1"
	fi
	has_died
	expect_eq "$(keys)" "$2" "keys at $1"
	mount_tarn rw
	leaves_nothing "$1, replacing: $3"
	[ "$3" = no ] || stop_watch
}

die_at rename-recorded:1 'from to ' yes
die_at rename-recorded:1 'from ' no
die_at rename-copied:1 'from to ' yes
die_at rename-copied:1 'from to ' no
die_at rename-removed:1 'to ' yes
die_at rename-done:1 'to ' no
die_at rename-dropped:1 'to ' yes

# The one that goes on dies as well, perhaps before `mount` is through.
nobody_serves() {
	for p in $(processes_here); do
		case $(tr '\0' ' ' <"/proc/$p/cmdline") in
		*" mount "*) return 1 ;;
		esac
	done
}
for point in resume-copied resume-removed rename-done; do
	store_put from "$W/new"
	store_put to "$W/old"
	start_watch to "$W/old" "$W/new"
	mount_to_die rename-recorded:1 rw
	! mv "$MNT/from" "$MNT/to" 2>"$W/err" || fail "renamed by the dead"
	has_died
	rm "$W/crashed"
	TARN_CRASH_AT=$point:1:$W/crashed "$TARN" mount "$SOURCE" "$W/mnt" \
		-o "cache-dir=$CACHE,staging-dir=$W/staging,log=$W/second.log,$STORE_OPTS,rw" \
		>"$W/second.out" 2>&1 8>&- 9>&- || true
	wait_for 20 nobody_serves
	[ -e "$W/crashed" ] || fail "it ended elsewhere than at $point"
	kills=$((kills + 1))
	[ -n "$(find "$W/staging" -name '*.rename')" ] ||
		fail "the record is gone at $point"
	mount_tarn rw
	leaves_nothing "$point"
	stop_watch
done

# What was written since is nobody's to remove.
store_put from "$W/new"
store_delete to
mount_to_die rename-copied:1 rw
! mv "$MNT/from" "$MNT/to" 2>"$W/err" || fail "renamed by the dead"
has_died
store_put from "$W/old"
mount_tarn rw
wait_for 20 no_records
expect_eq "$(keys)" "from to " "keys after another wrote the old name"
cmp "$W/old" "$MNT/from"
cmp "$W/new" "$MNT/to"
expect_eq "$kills" 14 "times it was killed"

# A second mount of this host leaves alone what the first is at.
if [ "$STORE_KIND" = objsim ]; then
	sim forget ''
	sim_rule '{"name":"gate","op":"COPY","hold":true}'
	mv "$MNT/from" "$MNT/to" &
	mover=$!
	held() { [ "$(sim_fired gate)" -ge 1 ]; }
	wait_for 20 held
	CACHE_DIR=$W/c2 mount_tarn -n two rw
	umount_tarn two
	[ -n "$(find "$W/staging" -name '*.rename')" ] || fail "it took the record"
	expect_eq "$(sim 'count?op=COPY&status=200')" 0 "copies by the second"
	sim release?rule=gate ''
	wait $mover
	sim clear ''
	expect_eq "$(keys)" "to "
	cmp "$W/old" "$MNT/to"
fi
umount_tarn
