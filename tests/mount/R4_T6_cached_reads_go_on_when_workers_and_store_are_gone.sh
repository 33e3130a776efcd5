# SPDX-License-Identifier: Apache-2.0
# R4, T6, INV6: all workers are killed: what is cached is read, and the rest
# comes from the store. The store is gone, too: what is cached is still read,
# the rest fails in time. The store is back, then the workers: all is read, and
# workers are asked again.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
for f in one cold1 cold2 cold3; do
	sim_put d/$f 'size=300000&seed=3' >"$W/o"
done
sim_put d/two 'size=9000000&seed=4' >"$W/o"
workers=
for n in 1 2; do
	start_worker -n w$n
	eval "at$n=\${WORKER#http://}"
	workers=$workers${workers:++}${WORKER#http://}
done
mount_tarn "workers=$workers,cluster-key-file=$W/cluster.key,prefetch=off,consistency=ttl:1h,metadata-timeout=2s,read-timeout=2s"
ls -l "$MNT/d" >"$W/o"
small=$(sim_sha d/one) large=$(sim_sha d/two)
cached() { # WHEN
	drop_caches
	expect_eq "$(sha "$MNT/d/one")" "$small" "a cached small file $1"
	expect_eq "$(sha "$MNT/d/two")" "$large" "a cached large file $1"
}
cached 'at first'
expect_eq "$(mount_stat "$MNT" "m['store']['get']")" 0 "GETs of the mount's own"

kill_worker w1
kill_worker w2
cached 'without workers'
expect_eq "$(sha "$MNT/d/cold1")" "$small" "an uncached file without workers"
expect_eq "$(mount_stat "$MNT" "m['store']['get']")" 1 "GETs without workers"

sim_rule '{"name":"gone","lost":true}'
cached 'without workers and store'
if cat "$MNT/d/cold2" >"$W/out" 2>"$W/err"; then
	fail "an uncached file was read from nowhere"
fi
grep -qE 'timed out|No route|unreachable' "$W/err" || fail "$(cat "$W/err")"
expect_fired gone
cached 'after that'
sim clear ''
expect_eq "$(sha "$MNT/d/cold2")" "$small" "with the store again"

# shellcheck disable=SC2154 # set by eval
{
	WORKER_LISTEN=$at1 start_worker -n w1
	WORKER_LISTEN=$at2 start_worker -n w2
}
up() {
	"$TARN" free "$MNT/d/cold3" >"$W/o" && expect_eq "$(sha "$MNT/d/cold3")" "$small" &&
		"$TARN" free "$MNT/d/two" >"$W/o" && expect_eq "$(sha "$MNT/d/two")" "$large" &&
		mount_stat "$MNT" "[w['state'] for w in m['ring']['workers']]" | grep -q up
}
wait_for 30 up
cached 'in the end'
no_errors mnt
umount_tarn
