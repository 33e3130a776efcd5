# SPDX-License-Identifier: Apache-2.0
# S7 with a ring: what a mount invalidates the workers forget too, so that a
# change is seen at once however long both believe what they know. One that
# cannot be told is named.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
for n in 1 2 3 4 5 6; do
	sim_put "d$n/a" "size=1000&seed=$n" >"$W/o"
done
sim_put 'd7/%FF' 'size=1000&seed=1' >"$W/o"
start_worker -n one consistency=ttl:1h
one=${WORKER#http://}
start_worker -n two consistency=ttl:1h
two=${WORKER#http://}
mount_tarn "workers=$one+$two,cluster-key-file=$W/cluster.key,consistency=ttl:1h"
change() { # SEED: all of them, and one that is new
	for n in 1 2 3 4 5 6; do
		sim_put "d$n/a" "size=1000&seed=$1$n" >"$W/o"
		sim_put "d$n/new$1" 'size=10&seed=1' >"$W/o"
	done
}
seen() { # [MOUNT]
	for n in 1 2 3 4 5 6; do
		expect_eq "$(sha "$W/${1-mnt}/d$n/a")" "$(sim_sha "d$n/a")" "d$n/a"
	done
}
seen
for n in 1 2 3 4 5 6; do
	expect_eq "$(ls "$MNT/d$n")" a
done
change 2
for n in 1 2 3 4 5 6; do
	expect_eq "$(ls "$MNT/d$n")" a "d$n before it is invalidated"
done
"$TARN" invalidate "$MNT/d1" "$MNT/d2/a" "$MNT/d2/new2" "$MNT/d3" "$MNT/d4" \
	"$MNT/d5" "$MNT/d6" || fail "invalidate"
seen
change 3
"$TARN" invalidate "$MNT"
# Before this mount looks, one that knew nothing hears the same of the workers.
mkdir -m 700 "$W/c2"
CACHE_DIR=$W/c2 mount_tarn -n second \
	"workers=$one+$two,cluster-key-file=$W/cluster.key,consistency=ttl:1h"
seen second
umount_tarn second
seen
for n in 1 2 3 4 5 6; do
	[ -e "$MNT/d$n/new3" ] || fail "no d$n/new3"
done

# Nor does it matter that JSON has no words for a key.
odd='d7/%~x%FF'
expect_eq "$(sha "$MNT/$odd")" "$(sim_sha 'd7/%FF')"
sim_put 'd7/%FF' 'size=1000&seed=2' >"$W/o"
"$TARN" invalidate "$MNT/$odd" || fail "invalidate $odd"
mkdir -m 700 "$W/c3"
CACHE_DIR=$W/c3 mount_tarn -n third \
	"workers=$one+$two,cluster-key-file=$W/cluster.key,consistency=ttl:1h"
expect_eq "$(sha "$W/third/$odd")" "$(sim_sha 'd7/%FF')"
umount_tarn third

# One that is gone is told nothing.
stop_worker two
rc=0
"$TARN" invalidate "$MNT/d1" 2>"$W/err" || rc=$?
expect_eq "$rc" 1 "exit when a worker is not told"
grep -q "worker $two: .*it may believe" "$W/err" || fail "$(cat "$W/err")"
umount_tarn
stop_worker one
