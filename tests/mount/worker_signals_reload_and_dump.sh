# SPDX-License-Identifier: Apache-2.0
# SIGHUP of a worker reads the keys for the store and the log level again,
# SIGUSR1 writes its state to the log; it serves meanwhile.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
start_store
for n in 1 2 3; do
	sim_put f$n "size=100000&seed=$n" >"$W/o"
done
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
mkdir -p "$HOME/.aws"
keys() { # ID
	printf '[default]\naws_access_key_id = %s\naws_secret_access_key = tarnsecret\n' "$1" >"$HOME/.aws/credentials"
}
keys tarn
mkdir -m 700 "$W/worker"
(umask 077 && echo "$CLUSTER_KEY" >"$W/cluster.key")
config() { # LOG-LEVEL
	printf '{ "log-level": "%s" }\n' "$1" >"$W/c.json"
}
config err
"$TARN" worker "$SOURCE" -f -c "$W/c.json" -o "listen=127.0.0.1:0,$STORE_OPTS,cache-dir=$W/worker,cluster-key-file=$W/cluster.key" \
	>"$W/worker.out" 2>"$W/worker.log" 9>&- &
worker=$!
at_exit "kill $worker 2>$W/o"
wait_for 20 grep -q '^  listen' "$W/worker.out"
WORKER=http://$(sed -n 's/^  listen *//p' "$W/worker.out")
expect_eq "$(worker_code /bucket/f1)" 200

# What says so is said at level info.
[ ! -s "$W/worker.log" ] || fail "level err: $(cat "$W/worker.log")"
config info
kill -HUP $worker
wait_for 20 grep -q 'read credentials and log level again' "$W/worker.log"
kill -USR1 $worker
wait_for 20 grep -q 'state: worker on ' "$W/worker.log"

# The store knows another key now; until the file is read again it refuses.
sim settings '{"access": "another"}'
code=$(worker_code /bucket/f2)
[ "$code" = 403 ] || [ "$code" = 503 ] || fail "answered $code with a wrong key"
keys another
kill -HUP $worker
again() { [ "$(worker_code /bucket/f2)" = 200 ]; }
wait_for 20 again
expect_eq "$(sha "$W/answer")" "$(sim_sha f2)"
kill $worker
code=0
wait $worker || code=$?
expect_eq $code 0 "exit code"
