# SPDX-License-Identifier: Apache-2.0
# D9: others fill the worker's disk: what was asked for comes from the store and
# is right, to S3 clients and framed to mounts; when there is room it is kept
# again.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
small_disk 60
mkdir -m 700 "$W/worker"
mount --bind "$CACHE_DIR" "$W/worker"
start_store
for n in 1 2 3 4; do
	sim_put f$n "size=9000000&seed=$n" >"$W/o"
	sim_put s$n "size=300000&seed=$n" >"$W/o"
done
start_worker
pid=$(worker_pid)
same() { # KEY
	expect_eq "$(worker_code "/bucket/$1")" 200 "$1"
	expect_eq "$(sha "$W/answer")" "$(sim_sha "$1")" "bytes of $1"
}
same f1
# Twice: the first file may stop short of the last blocks.
dd if=/dev/zero of="$W/disk/fill" bs=64K 2>"$W/dd" || true
dd if=/dev/zero of="$W/disk/fill2" bs=4K 2>>"$W/dd" || true
grep -q 'No space left' "$W/dd" || fail "the disk was not full"
for round in 1 2; do
	for n in 1 2 3 4; do
		same f$n
		same s$n
	done
	drop_caches
	clients=
	for n in 1 2 3 4; do
		worker_curl /bucket/f$n -f -o "$W/c$n" &
		clients="$clients $!"
	done
	# shellcheck disable=SC2086 # several
	wait $clients
	for n in 1 2 3 4; do
		expect_eq "$(sha "$W/c$n")" "$(sim_sha f$n)" "f$n of four at once, $round"
	done
done
# A mount gets each page right behind its word, or from a file.
curl -fsS "$SIM/_sim/get?bucket=bucket&key=f4" >"$W/want"
expect_eq "$(worker_code /bucket/f4 -H 'x-tarn-protocol: 1' \
	-H 'Range: bytes=1048576-2097151' -D "$W/head")" 206
if grep -qi '^x-tarn-framed: 1' "$W/head"; then
	python3 -c 'import sys
b = open(sys.argv[1], "rb").read()
assert len(b) == 16 * 65544
sys.stdout.buffer.write(b"".join(b[i + 8:i + 65544] for i in range(0, len(b), 65544)))' \
		"$W/answer" >"$W/plain"
else
	cp "$W/answer" "$W/plain"
fi
tail -c +1048577 "$W/want" | head -c 1048576 | cmp - "$W/plain"
rm "$W/disk/fill" "$W/disk/fill2"
sync
kept() {
	drop_caches
	same s4
	sim forget ''
	drop_caches
	same s4
	[ "$(sim 'count?op=GET')" = 0 ]
}
wait_for 40 kept
expect_eq "$(worker_pid)" "$pid" "the worker"
stop_worker
