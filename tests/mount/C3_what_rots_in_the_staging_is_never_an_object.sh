# SPDX-License-Identifier: Apache-2.0
# C3, S13: somebody writes over a staged file with dd, before its close or while
# parts of it are on their way: EIO, and the store has what it had.
# stores: file objsim versitygw minio
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
make_file "$W/old" 12000000 1
store_put upon "$W/old"
# With passthrough the kernel would serve what rots in the cache (B6).
mount_tarn rw,part-size=5M,passthrough=off
cat >"$W/writer.py" <<'PY'
import errno, os, sys
path, size = sys.argv[1], int(sys.argv[2])
fd = os.open(path, os.O_RDWR | os.O_CREAT)
# From its end, so that nothing is sent before the close.
for at in reversed(range(0, size, 1 << 20)):
    os.pwrite(fd, os.urandom(min(1 << 20, size - at)), at)
print("wrote", flush=True)
sys.stdin.readline()
said = []
for what in os.fsync, os.close:
    try:
        what(fd)
        said.append("0")
    except OSError as e:
        said.append(errno.errorcode[e.errno])
print(*said)
PY
staged() { # What is small is there when it is a second old.
	data=$(find "$W/staging" -name '*.data' | sort | comm -13 "$W/before" -)
	[ -f "$data" ]
}
begin() { # NAME SIZE: sets data, its staging file
	find "$W/staging" -name '*.data' | sort >"$W/before"
	rm -f "$W/in"
	mkfifo "$W/in"
	python3 "$W/writer.py" "$MNT/$1" "$2" >"$W/said" <"$W/in" 8>&- 9>&- &
	writer=$!
	exec 8>"$W/in"
	wait_for 60 test -s "$W/said"
	wait_for 60 staged
}
rot() { # OFFSET: one byte, which is another one then
	was=$(dd if="$data" bs=1 skip="$1" count=1 status=none | od -An -tu1)
	printf '%b' "\\$(printf %03o $(((was + 1) % 256)))" |
		dd of="$data" bs=1 seek="$1" conv=notrunc status=none
}
end() { # WHAT-SYNC-AND-CLOSE-SAY
	exec 8>&-
	wait "$writer"
	expect_eq "$(tail -n 1 "$W/said")" "$1" "sync and close"
}
absent() { [ ! -e "$MNT/$1" ]; }
# Of several sizes, at the first byte, in the middle and at the last.
for size in 1 65537 12000000; do
	for at in 0 $((size / 2)) $((size - 1)); do
		begin "new-$size-$at" $size
		rot $at
		end 'EIO EIO'
		# Once the kernel has told of the last close.
		wait_for 20 absent "new-$size-$at"
		cmp -s "$data" /dev/null && fail "what was written is not kept"
		[ $size -gt 1 ] || break
	done
done
begin upon 7000000
rot 6000000
end 'EIO EIO'
cmp "$W/old" "$MNT/upon"
grep -c 'staged bytes are not what was written' "$W/mnt.log" >"$W/count"
expect_eq "$(cat "$W/count")" 8 "files that rotted, by the log"

# While parts of it are on their way: those that were not read yet.
if [ "$STORE_KIND" = objsim ]; then
	for op in PART COMPLETE; do
		sim_rule "{\"name\":\"gate-$op\",\"op\":\"$op\",\"hold\":true}"
		want='EIO EIO'
		# What the store has rots here in vain: reads see it, and ask the store.
		[ $op = PART ] || want='0 0'
		begin "held-$op" 60000000
		whole=$(sha "$data")
		echo >&8
		held() { [ "$(sim_fired "gate-$op")" -ge 1 ]; }
		wait_for 60 held
		if [ $op = PART ]; then
			# Of twelve parts eight are sent side by side.
			rot 59000000
		else
			rot 30000000
		fi
		sim "release?rule=gate-$op" ''
		exec 8>&-
		wait "$writer"
		said=$(tail -n 1 "$W/said")
		if [ "$said" = '0 0' ]; then
			expect_eq "$(sim_sha "held-$op")" "$whole" "held-$op"
			expect_eq "$(sha "$MNT/held-$op")" "$whole" "held-$op, read"
		fi
		expect_eq "$said" "$want" "rotten during $op"
		sim clear ''
	done
	no_upload() { [ "$(sim uploads)" -eq 0 ]; }
	wait_for 20 no_upload
fi

# All is kept; after that is dropped the names are free.
"$TARN" recover --staging-dir "$W/staging" --discard "$MNT/upon"
cp "$W/said" "$MNT/upon"
CACHE_DIR=$W/cache2 mount_tarn -n other
cmp "$W/said" "$W/other/upon"
umount_tarn other
umount_tarn
