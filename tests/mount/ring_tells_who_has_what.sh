# SPDX-License-Identifier: Apache-2.0
# tarn ring: the workers with weight and state; of a path the owner of its names
# and of each of its segments, which is the worker that a read of it asks; and
# the ring as a worker sees it. As text and as JSON.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
for n in 1 2 3 4 5 6; do
	sim_put "d/f$n" "size=$((n * 1000))&seed=$n" >"$W/o"
done
sim_put d/large 'size=2500000000&seed=9' >"$W/o"
sim_put d/absurd 'size=5000000000000000&seed=9' >"$W/o"
make_cluster_key
a=127.0.0.1:$(free_port)
b=127.0.0.1:$(free_port)
for w in a b; do
	eval "at=\$$w"
	# shellcheck disable=SC2154 # set by eval
	WORKER_LISTEN=$at start_worker -n $w "weight=2G,workers=$a+$b"
done
mount_tarn "workers=$a+$b,cluster-key-file=$W/cluster.key"

# tarn_says WORDS COMMAND...
tarn_says() {
	words=$1
	shift
	"$TARN" "$@" >"$W/out" 2>&1 || fail "tarn $*: $(cat "$W/out")"
	grep -q -- "$words" "$W/out" || fail "tarn $*: no '$words': $(cat "$W/out")"
}
tarn_says "$MNT: 2 workers by list, epoch 1" ring
tarn_says "^  $a *up  *weight 1 (50 %)" ring
tarn_says "names and attributes *127.0.0.1:.*, then 127.0.0.1:" ring "$MNT/d"
tarn_says "2.3 GiB in 3 segments" ring "$MNT/d/large"
expect_eq "$(grep -c ' from ' "$W/out")" 3 "segments"
# A store may say of a size what it likes: there is an end to what is told.
"$TARN" ring "$MNT/d/absurd" --json >"$W/where"
expect_eq "$(json "$W/where" "len(j['files'][0]['segments'])")" 65536
expect_eq "$(json "$W/where" "j['files'][0]['bytes']")" 5000000000000000
tarn_says "$a: 2 workers by list" ring "$a"
tarn_says '"state": "listed"' ring "$a" --json
curl -fsS "http://$a/-/ring" | grep -q "\"$b\""

# Who owns a file is who is asked for it.
for n in 1 2 3 4 5 6; do
	"$TARN" ring "$MNT/d/f$n" --json >"$W/where"
	owner=$(json "$W/where" "j['files'][0]['segments'][0]['workers'][0]")
	hits() {
		mount_stat "$MNT" "[w['hit_bytes'] for w in m['ring']['workers'] if w['name'] == '$owner'][0]"
	}
	before=$(hits)
	expect_eq "$(sha "$MNT/d/f$n")" "$(sim_sha "d/f$n")"
	expect_ge "$(hits)" $((before + n * 1000)) "bytes from $owner"
done

! "$TARN" ring "$MNT/absent" >"$W/out" 2>&1 || fail "an absent name has owners"
grep -q 'No such file' "$W/out"
umount_tarn
mount_tarn
! "$TARN" ring "$MNT/d" >"$W/out" 2>&1 || fail "a mount without workers has owners"
grep -q 'mount with workers=' "$W/out"
# Mounts of other tests may have some.
"$TARN" ring >"$W/out" 2>&1 || true
! grep -q "^$MNT:" "$W/out" || fail "a mount without workers has a ring"
