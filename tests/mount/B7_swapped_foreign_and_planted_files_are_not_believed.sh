# SPDX-License-Identifier: Apache-2.0
# B7, G7: two cached files change places, a foreign one takes a name, a
# symlink, a FIFO, a directory and a device are planted: never followed,
# never waited for, never served.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
for n in 1 2 3 4; do
	sim_put s$n "size=900000&seed=$n" >"$W/o"
	sim_put l$n "size=9000000&seed=1$n" >"$W/o"
done
all() { # WHAT
	mount_tarn "${2-}"
	for k in s1 s2 s3 s4 l1 l2 l3 l4; do
		expect_eq "$(timeout 60 cat "$MNT/$k" | sha256sum | cut -d' ' -f1)" \
			"$(sim_sha $k)" "$k, $1"
	done
	umount_tarn
	drop_caches
}
pick() { # SIZE: the cached files of it
	find "$CACHE/v1" -type f -size "$1c" | sort
}
for o in '' passthrough=off; do
	all "cold" "$o"
	for size in 900000 9000000; do
		# shellcheck disable=SC2046
		set -- $(pick $size)
		expect_ge $# 2 "cached files of $size"
		mv "$1" "$W/t" && mv "$2" "$1" && mv "$W/t" "$2"
	done
	all "two swapped" "$o"
	for f in $(pick 900000) $(pick 9000000); do
		size=$(stat -c %s "$f")
		rm "$f"
		make_file "$f" "$size" 77
	done
	all "foreign files" "$o"
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
	expect_eq "$(cat "$W/private")" private
	find "$CACHE/v1" ! -type f ! -type d -delete
done
