# SPDX-License-Identifier: Apache-2.0
# S1, S4, S7 with workers that believe names for a minute: a mount sees a change
# when its own ttl has passed, a new name when its negative-ttl has, and both at
# once after tarn invalidate or with consistency=strict. S2, S3: a handle reads
# the version it was opened with, or ESTALE.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
for f in f gone same inv; do
	sim_put d/$f "size=300000&seed=1" >"$W/o"
done
workers=
for n in 1 2 3; do
	start_worker -n w$n
	workers=$workers${workers:++}${WORKER#http://}
done
for m in a b strict; do
	mkdir -m 700 "$W/cache.$m"
	how=consistency=ttl:6s,negative-ttl=2s
	[ $m != strict ] || how=consistency=strict,readahead=1M
	CACHE_DIR=$W/cache.$m mount_tarn -n $m \
		"workers=$workers,cluster-key-file=$W/cluster.key,prefetch=off,$how"
done
after() { # SECONDS since $changed
	while [ "$(date +%s%N)" -lt $((changed + $1 * 1000000000 + 200000000)) ]; do
		sleep 0.05
	done
}
# Warm: the workers know the names, and so does a.
sha "$W/a/d/f" "$W/a/d/gone" "$W/a/d/same" "$W/a/d/inv" >"$W/o"
ls -l "$W/a/d" >"$W/o"
expect_errno ENOENT stat "$W/a/d/later"
old=$(sim_sha d/f)

sim_put d/f 'size=300001&seed=2' >"$W/o"
sim_put d/later 'size=1000&seed=3' >"$W/o"
sim 'delete?bucket=bucket&key=d/gone' ''
changed=$(date +%s%N)
expect_eq "$(sha "$W/strict/d/f")" "$(sim_sha d/f)" "strict, a change"
expect_eq "$(sha "$W/strict/d/later")" "$(sim_sha d/later)" "strict, a new name"
expect_errno ENOENT stat "$W/strict/d/gone"
after 2
# b hears of the directory from a worker that listed it before the changes.
expect_eq "$(sha "$W/b/d/later")" "$(sim_sha d/later)" "a new name, by an old listing"
expect_eq "$(sha "$W/a/d/later")" "$(sim_sha d/later)" "a new name after negative-ttl"
after 6
for m in a b; do
	expect_eq "$(stat -c %s "$W/$m/d/f")" 300001 "$m: a size after the ttl"
	expect_eq "$(sha "$W/$m/d/f")" "$(sim_sha d/f)" "$m: a change after the ttl"
	expect_errno ENOENT stat "$W/$m/d/gone"
	# shellcheck disable=SC2012 # names of ours
	expect_eq "$(ls "$W/$m/d" | tr '\n' ' ')" "f inv later same " "$m: names after the ttl"
	expect_eq "$(sha "$W/$m/d/same")" "$old" "$m: what did not change"
done
expect_eq "$(sim 'count?op=GET&key=d/same')" 1 "GETs of what did not change"

# Now, whatever anybody believes.
expect_errno ENOENT stat "$W/a/d/new"
sim_put d/inv 'size=300002&seed=4' >"$W/o"
sim_put d/new 'size=1000&seed=5' >"$W/o"
sim 'delete?bucket=bucket&key=d/later' ''
"$TARN" invalidate "$W/a/d/inv" >"$W/o"
expect_eq "$(sha "$W/a/d/inv")" "$(sim_sha d/inv)" "a file invalidated"
"$TARN" invalidate "$W/a" >"$W/o"
expect_eq "$(sha "$W/a/d/new")" "$(sim_sha d/new)" "a new file in a tree invalidated"
expect_errno ENOENT stat "$W/a/d/later"
# shellcheck disable=SC2012 # names of ours
expect_eq "$(ls "$W/a/d" | tr '\n' ' ')" "f inv new same " "names of a tree invalidated"
for m in a b strict; do
	expect_ge "$(mount_stat "$W/$m" "m['counters']['peer_get'] + m['counters']['peer_head'] + m['counters']['peer_list']")" 2 \
		"requests of $m to workers"
done
expect_ge "$(mount_stat "$W/a" "m['counters']['peer_head'] + m['counters']['peer_list']")" 2 \
	"questions for names to workers"

stale=0
seed=10
for size in 65537 1048577 40000000; do
	n=$(python3 "$HELPERS/handle.py" "$W/strict/h" "$SIM" h $size $seed $((seed + 1)))
	stale=$((stale + n))
	seed=$((seed + 2))
done
expect_ge $stale 1 "reads that were ESTALE"
for m in a b strict; do
	expect_eq "$(counter $m peer_wrong)" 0 "wrong answers"
	no_errors $m
	umount_tarn $m
done
