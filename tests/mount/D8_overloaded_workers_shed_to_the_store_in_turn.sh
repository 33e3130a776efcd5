# SPDX-License-Identifier: Apache-2.0
# D8: workers that answer 503 to all are gone round without an error, and what
# the store gets instead waits for its turn when it is much at once. A worker
# that has no room for more answers says 503 itself. When they are well they
# are asked again.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put_files d/f 0 299 1000 1
mkdir "$W/want"
for n in 0 77 299; do
	sim_sha d/f$n >"$W/want/f$n"
done
start_worker -n behind1
start_liar one "$WORKER"
workers=$LIAR
start_worker -n behind2
start_liar two "$WORKER"
workers=$workers+$LIAR
liar one busy
liar two busy
mount_tarn "workers=$workers,cluster-key-file=$W/cluster.key,prefetch=off"
ls "$MNT/d" >"$W/names"
expect_eq "$(wc -l <"$W/names")" 300 "names"
many() { # of nothing that this host has, 30 at a time
	"$TARN" free "$MNT/d" >"$W/o"
	drop_caches
	(cd "$MNT/d" && xargs -P 30 -n 5 sha256sum -- <"$W/names") >"$W/all"
	expect_eq "$(wc -l <"$W/all")" 300 "files read"
	for n in 0 77 299; do
		expect_eq "$(awk "\$2 == \"f$n\" { print \$1 }" "$W/all")" \
			"$(cat "$W/want/f$n")" "f$n"
	done
}
many
expect_ge "$(counter mnt peer_errors)" 3 "answers 503"
expect_ge "$(counter mnt store_token_waits)" 1 "requests that waited for their turn"
expect_eq "$(sim 'count?op=GET&key=d/*')" 300 "GETs of 300 files"
expect_eq "$(mount_stat "$MNT" "' '.join(w['state'] for w in m['ring']['workers'])")" \
	"down down"
liar one true
liar two true
up() { [ "$(mount_stat "$MNT" "' '.join(w['state'] for w in m['ring']['workers'])")" = "up up" ]; }
healed() { up || { many && up; }; }
wait_for 40 healed
before=$(counter mnt peer_bytes_in)
many
expect_ge "$(counter mnt peer_bytes_in)" $((before + 300000)) "bytes of workers that are well"
no_errors mnt
umount_tarn
