# SPDX-License-Identifier: Apache-2.0
# tarn load --to ring: each of two workers fetches what it owns, so that the
# store sends each object once; what is read back is told to the byte. A second
# load takes nothing, a mount with workers then reads without the store.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_put_files d/ 0 39 110000 0
sim_put d/large 'size=9000000&seed=77' >"$W/o"
sim_put other 'size=1000&seed=78' >"$W/o"
total=13400000 pages=218
start_worker -n one
one=${WORKER#http://}
start_worker -n two
two=${WORKER#http://}
ring="workers=$one+$two,cluster-key-file=$W/cluster.key"
result() { # COMMAND... : fields of its JSON
	"$TARN" "$@" --json -o "$ring" >"$W/result.json" 2>"$W/err" ||
		fail "$*: $(cat "$W/result.json" "$W/err")"
}
field() {
	json "$W/result.json" "j['$1']"
}

result load --to ring --dry-run s3://bucket/d
expect_eq "$(field files)" 41
expect_eq "$(field bytes)" $total
expect_eq "$(field ssd_bytes)" 0 "bytes that are there"
expect_eq "$(store_count GET)" 0 "GETs of a dry run"
"$TARN" status "$one" >"$W/out"
grep -q '^  job  *r[0-9a-f]*: load (dry run) done, ' "$W/out" || fail "$(cat "$W/out")"
"$TARN" load --to ring --verify s3://bucket/d -o "$ring" >"$W/out" 2>"$W/err" ||
	fail "$(cat "$W/err")"
grep -q '^job r[0-9a-f]* on 2 workers$' "$W/out" || fail "$(cat "$W/out")"
grep -q '^41 files, 12.8 MiB on 2 workers, of which 12.8 MiB came from the store$' "$W/out" ||
	fail "$(cat "$W/out")"
grep -q "^$total bytes in $pages pages were read back and are right$" "$W/out" ||
	fail "$(cat "$W/out")"
n=0
while [ $n -lt 40 ]; do
	expect_eq "$(store_count GET "d/$n")" 1 "GETs of d/$n"
	n=$((n + 1))
done
expect_eq "$(sim 'count?op=GET&key=other')" 0 "GETs of what was not named"
expect_eq "$(sim 'count?op=GET&key=d/large')" 2 "GETs of the large one, in parts"
gets=$(store_count GET)
for w in "$one" "$two"; do
	"$TARN" status "$w" --json >"$W/status.json"
	expect_ge "$(json "$W/status.json" "j['worker']['jobs'][0]['files']")" 1 "files of $w"
done

result load --to ring --verify s3://bucket/d
expect_eq "$(field fetched_bytes)" 0 "bytes fetched again"
expect_eq "$(field verified_bytes)" $total
expect_eq "$(field verified_pages)" $pages
expect_eq "$(field workers)" 2
expect_eq "$(store_count GET)" "$gets" "GETs of the second load"

# A mount knows its workers; it has what is in the ring without the store.
mount_tarn "$ring,consistency=ttl:1h,passthrough=off"
n=0
while [ $n -lt 40 ]; do
	expect_eq "$(sha "$MNT/d/$n")" "$(sim_sha "d/$n")" "d/$n"
	n=$((n + 1))
done
expect_eq "$(store_count GET)" "$gets" "GETs of a mount with workers"
"$TARN" load --to both "$MNT/d" >"$W/out" 2>"$W/err" || fail "$(cat "$W/err")"
grep -q '^41 files, 12.8 MiB on 2 workers, of which 0 B came' "$W/out" ||
	fail "$(cat "$W/out")"
grep -q '^41 files, 12.8 MiB, of which [0-9.]* [KM]iB came from workers or the store$' \
	"$W/out" || fail "$(cat "$W/out")"
expect_eq "$(sha "$MNT/d/large")" "$(sim_sha d/large)" large
expect_eq "$(store_count GET)" "$gets" "GETs of a load to both"

# In the background, and asked for by its name.
"$TARN" load --to ring --detach "$MNT" >"$W/out"
job=$(sed -n 's/^job \(r[0-9a-f]*\) on 2 workers; ask for it by .* --status r[0-9a-f]* .*mnt$/\1/p' "$W/out")
ended() {
	"$TARN" load --to ring --status "$job" "$MNT" >"$W/out.log" 2>&1
	grep -q "^job $job on 2 workers: done, 12.8 MiB of 12.8 MiB, 42 files, 1000 B came" "$W/out.log"
}
wait_for 30 ended
if "$TARN" load --to ring --status r0 "$MNT" 2>"$W/err"; then
	fail "a job that never was"
fi
grep -q 'no worker knows of a job r0' "$W/err" || fail "$(cat "$W/err")"

"$TARN" free --from ring --dry-run s3://bucket/d -o "$ring" >"$W/out"
grep -q '^41 files, 12.8 MiB; 2 workers hold 12.[0-9]* MiB of them; nothing was changed$' \
	"$W/out" || fail "$(cat "$W/out")"
result free --from ring s3://bucket/d
expect_eq "$(field files)" 41 "files, each counted once"
expect_eq "$(field bytes)" $total "bytes, each counted once"
expect_ge "$(field ssd_bytes)" $total "bytes freed"
result load --to ring --dry-run s3://bucket
expect_eq "$(field bytes)" $((total + 1000))
expect_eq "$(field ssd_bytes)" 1000 "bytes that are left"
umount_tarn

# What is wrong is said before anything is begun.
wrong() { # WORDS ARGUMENT...
	words=$1
	shift
	code=0
	"$TARN" load "$@" >"$W/out" 2>"$W/err" || code=$?
	[ $code -eq 1 ] || [ $code -eq 2 ] || fail "exit code $code: $*"
	grep -q "$words" "$W/err" || fail "$*: $(cat "$W/err")"
}
# Of a bucket that nobody has mounted, as other tests may have this one.
wrong 'which workers?' --to ring "s3://none${W##*.}/d"
wrong 'is in no source here' --to ring s3://else/d -o "$ring"
wrong 'ssd, ring and both' --to disk s3://bucket/d
wrong 'it is not signed; name the file' --to ring s3://bucket/d -o "workers=$one"
wrong 'cluster-key-file=.*none: No such file' --to ring s3://bucket/d \
	-o "workers=$one,cluster-key-file=$W/none"
wrong 'none: No such file' --to ring s3://bucket/none -o "$ring"
expect_eq "$(grep -c 'none: No such file' "$W/err")" 1 "times that it was said"
! grep "$CLUSTER_KEY" "$W"/*.log "$W/err" "$W/out" || fail "the key was told"
stop_worker one
stop_worker two
wrong "no worker of workers=$one+$two answers" --to ring s3://bucket/d -o "$ring"
