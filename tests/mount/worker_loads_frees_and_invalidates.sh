# SPDX-License-Identifier: Apache-2.0
# A worker's control interface: a load is a job that outlives who began it and
# is known by the name that it was given; free drops bytes, invalidate what is
# known of names. Each needs the signature, and so does how far a job is.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
start_store
for n in 1 2 3; do
	sim_put d/$n "size=110000&seed=$n" >"$W/o"
	sim_put d/e/$n "size=3000000&seed=$n" >"$W/o"
done
start_worker consistency=ttl:1h,negative-ttl=1h
ask() { # WANTED-STATUS PATH [BODY]
	if [ $# -gt 2 ]; then
		code=$(worker_post "$2" "$3")
	else
		code=$(worker_code "$2")
	fi
	expect_eq "$code" "$1" "status of $2 ${3-}: $(cat "$W/answer")"
}
ended() { # JOB
	ask 200 "/-/load/$1"
	[ "$(json "$W/answer" "j['state']")" != running ]
}
field() {
	json "$W/answer" "j['$1']"
}

ask 202 /-/load '{"keys": ["d"], "verify": true, "job": "mine"}'
expect_eq "$(field job)" mine
wait_for 60 ended mine
expect_eq "$(field state)" "done"
expect_eq "$(field files)" 6
expect_eq "$(field fetched_bytes)" 9330000
expect_eq "$(field verified_bytes)" 9330000 "bytes read back"
expect_eq "$(field verified_pages)" 144 "pages read back"
gets=$(sim 'count?op=GET')
expect_eq "$gets" 6 "GETs"
for n in 1 2 3; do
	worker_curl /bucket/d/e/$n -f -o "$W/body"
	expect_eq "$(sha "$W/body")" "$(sim_sha d/e/$n)" "d/e/$n"
done
expect_eq "$(sim 'count?op=GET')" "$gets" "GETs of what was loaded"

# By URL and by bucket. The same again takes nothing.
ask 202 /-/load '{"urls": ["s3://bucket/d/e"], "keys": ["d/1"], "bucket": "bucket"}'
job=$(field id)
wait_for 60 ended "$job"
expect_eq "$(field files)" 4
expect_eq "$(field fetched_bytes)" 0
expect_eq "$(worker_status "[x['state'] for x in w['jobs']]")" "['done', 'done']"
expect_eq "$(worker_status "'errors' in str(w['jobs'])")" False

ask 202 /-/free '{"keys": ["d/e/"]}'
job=$(field id)
wait_for 60 ended "$job"
expect_eq "$(field files)" 3
expect_ge "$(field ssd_bytes)" 9000000
ask 202 /-/load '{"keys": ["d"], "dry_run": true}'
job=$(field id)
wait_for 60 ended "$job"
expect_eq "$(field bytes)" 9330000
expect_eq "$(field ssd_bytes)" 330000 "bytes that are left"

# A change is seen when it is told to look: its listing is fresh until then.
sim_put d/new 'size=10&seed=9' >"$W/o"
expect_eq "$(worker_code /bucket/d/new -I)" 404
ask 200 /-/invalidate '{"keys": ["d"]}'
expect_eq "$(worker_code /bucket/d/new -I)" 200

# What fails is named, but not to everybody.
ask 202 /-/load '{"keys": ["none"], "job": "fails"}'
wait_for 60 ended fails
expect_eq "$(field state)" failed
expect_eq "$(json "$W/answer" "j['errors'][0]['path']")" none
expect_eq "$(curl -sS -o "$W/o" -w '%{http_code}' "$WORKER/-/load/fails")" 403
for path in load free invalidate; do
	code=$(curl -sS -o "$W/o" -w '%{http_code}' -d '{"keys":["d"]}' "$WORKER/-/$path")
	expect_eq "$code" 403 "an unsigned POST of $path"
done

ask 404 /-/load/9999
ask 405 /-/load
ask 405 /-/load/1 '{}'
ask 400 /-/load '[]'
ask 400 /-/load '{}'
ask 400 /-/load '{"paths": ["d"]}'
ask 400 /-/load '{"keys": ["d"], "bucket": "other"}'
ask 404 /-/load '{"urls": ["s3://other/d"]}'
ask 400 /-/load '{"keys": ["d"], "job": "1"}'
ask 400 /-/load '{"keys": ["d"], "ring": {}}'
ask 400 /-/load '{"keys": ["d"], "ring": {"workers": [{"name": "a:1", "weight": 1}], "me": "b:1"}}'
ask 400 /-/load '{"keys": ["d"], "ring": {"workers": [{"name": "a:1", "weight": 1}, {"name": "a:1", "weight": 1}], "me": "a:1"}}'
ask 400 /-/free '{"keys": ["d"], "ring": {"workers": [{"name": "a:1", "weight": 1}], "me": "a:1"}}'
stop_worker
