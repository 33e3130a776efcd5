# SPDX-License-Identifier: Apache-2.0
# B7, G7: two cached files change places, a foreign one takes a name, the
# cache is of another format, a symlink, a FIFO, a directory and a device are
# planted: noticed, never followed, never waited for, never served; what is
# well is not fetched again.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
for n in 1 2 3 4; do
	sim_put s$n "size=900000&seed=$n" >"$W/o"
	sim_put l$n "size=9000000&seed=1$n" >"$W/o"
done
# Sets gets (objects that the store was asked for again) and bad (pages that
# were found to be wrong).
all() { # WHAT [OPTIONS]
	mount_tarn "${2-}"
	sim forget ''
	gets=0
	for k in s1 s2 s3 s4 l1 l2 l3 l4; do
		expect_eq "$(timeout 60 cat "$MNT/$k" | sha256sum | cut -d' ' -f1)" \
			"$(sim_sha $k)" "$k, $1"
		[ "$(sim "count?op=GET&key=$k")" = 0 ] || gets=$((gets + 1))
	done
	bad=$(mount_stat "$MNT" "m['ssd'][0]['bad_pages']")
	umount_tarn
	drop_caches
}
pick() { # SIZE: the cached files of it
	find "$CACHE/v1" -type f -size "$1c" | sort
}
for o in '' passthrough=off; do
	rm -rf "${CACHE:?}"/*
	all "cold" "$o"
	expect_eq $gets 8 "objects fetched, cold"
	all "warm" "$o"
	expect_eq "$gets $bad" "0 0" "objects fetched and bad pages, warm"
	for size in 900000 9000000; do
		# shellcheck disable=SC2046
		set -- $(pick $size)
		expect_ge $# 2 "cached files of $size"
		mv "$1" "$W/t" && mv "$2" "$1" && mv "$W/t" "$2"
	done
	all "two swapped" "$o"
	expect_eq $gets 4 "objects fetched, after two and two were swapped"
	expect_ge "$bad" 4 "bad pages, swapped"
	for f in $(pick 900000) $(pick 9000000); do
		size=$(stat -c %s "$f")
		rm "$f"
		make_file "$f" "$size" 77
	done
	n=$(pick 900000 | wc -l) n=$((n + $(pick 9000000 | wc -l)))
	all "foreign files" "$o"
	expect_eq $gets $n "objects fetched, as their files were foreign"
	expect_ge "$bad" $n "bad pages, foreign"
	echo private >"$W/private"
	n=0
	# shellcheck disable=SC2044 # names of hex digits
	for f in $(find "$CACHE/v1" -type f); do
		n=$((n + 1))
		rm "$f"
		case $((n % 4)) in
		0) ln -s "$W/private" "$f" ;;
		1) mkfifo "$f" ;;
		2) mkdir "$f" ;;
		3) ln -s /dev/zero "$f" ;;
		esac
	done
	expect_ge "$n" 4 "planted"
	all "planted files" "$o"
	expect_eq $gets 8 "objects fetched, as their files were planted"
	expect_eq "$(cat "$W/private")" private
	find "$CACHE/v1" ! -type f ! -type d -delete
done
# What another version of tarn left is not looked at.
sed -i '1s/.*/tarn cache 0/' "$CACHE/format"
if "$TARN" mount "$SOURCE" "$MNT" -o "cache-dir=$CACHE,$STORE_OPTS" >"$W/out" 2>&1; then
	fail "mounted with a cache of another format"
fi
grep -qF "$CACHE/format" "$W/out" || fail "not named: $(cat "$W/out")"
