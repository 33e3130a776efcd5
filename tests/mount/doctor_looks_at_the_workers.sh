# SPDX-License-Identifier: Apache-2.0
# tarn doctor with workers=: who they are, and for each whether it answers, with
# the fix when it is not there, has another key, another source or no name.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
start_store
sim_put d/small 'size=1000&seed=1' >"$W/o"
start_worker
good=${WORKER#http://}
absent=127.0.0.1:$(free_port)
doctor() { # OPTION,...
	"$TARN" doctor "$SOURCE" -o "$STORE_OPTS,cache-dir=$CACHE,$1" >"$W/doctor" 2>&1 || true
}
says() { # PASS or FAIL, CHECK, WORDS
	grep -A1 "^$1 *$2 " "$W/doctor" | tr '\n' ' ' | grep -q "$3" ||
		fail "not '$1 $2 ... $3': $(cat "$W/doctor")"
}
doctor "workers=$good+$absent,cluster-key-file=$W/cluster.key"
says PASS membership 'list names 2 workers'
says PASS workers "$good answers in"
says FAIL workers "$absent: .*is it running"

(umask 077 && echo another-key-of-the-cluster >"$W/other.key")
doctor "workers=$good,cluster-key-file=$W/other.key"
says FAIL workers "$good: .*403.*the same key"
doctor "workers=$good"
says FAIL workers "$good: .*403.*the same key"

sim 'bucket?name=second' '' >"$W/o"
SOURCE=s3://second
doctor "workers=$good,cluster-key-file=$W/cluster.key"
says FAIL workers "$good: .*421.*serves other sources"

SOURCE=s3://bucket
doctor "workers=dns://no-such-name.invalid:7070,cluster-key-file=$W/cluster.key"
says FAIL membership 'check the name'
says SKIP workers 'none is known'
doctor "cluster-key-file=$W/cluster.key"
says SKIP membership 'no workers='
