# SPDX-License-Identifier: Apache-2.0
# G4: without the cluster's key nothing is said of any object, cached or not;
# no key, no address but loopback. Neither key nor signature is in a log.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
start_store
sim_put 'a' 'size=1000&seed=1' >"$W/o"
start_worker
expect_eq "$(worker_code /bucket/a)" 200
asked=$(sim count)

denied() { # WHAT CURL-ARGUMENT...
	what=$1
	shift
	code=$(curl -sS --max-time 60 -o "$W/answer" -w '%{http_code}' "$@")
	expect_eq "$code" 403 "$what"
	! grep -q 'NoSuchKey' "$W/answer" || fail "$what: told what is there"
}

for path in /bucket/a /bucket/none '/bucket?list-type=2' / /other/x; do
	denied "unsigned $path" "$WORKER$path"
	denied "signed with another key, $path" --aws-sigv4 aws:amz:us-east-1:s3 \
		--user "tarn:${CLUSTER_KEY}x" \
		-H "x-amz-content-sha256: $EMPTY_SHA256" "$WORKER$path"
	denied "signed as another, $path" --aws-sigv4 aws:amz:us-east-1:s3 \
		--user "root:$CLUSTER_KEY" \
		-H "x-amz-content-sha256: $EMPTY_SHA256" "$WORKER$path"
	denied "of another service, $path" --aws-sigv4 aws:amz:us-east-1:ec2 \
		--user "tarn:$CLUSTER_KEY" \
		-H "x-amz-content-sha256: $EMPTY_SHA256" "$WORKER$path"
done
denied "a POST" -d '{}' "$WORKER/-/load"
expect_eq "$(sim count)" "$asked" "requests of the store for them"

url=$(AWS_SECRET_ACCESS_KEY=$CLUSTER_KEY python3 "$HELPERS/presign.py" "$WORKER" bucket a)
expect_eq "$(curl -sS "$url" -o "$W/answer" -w '%{http_code}')" 200 presigned
expect_eq "$(sha "$W/answer")" "$(sim_sha a)"
denied "presigned and changed" "$(echo "$url" | sed 's/bucket\/a/bucket\/b/')"

for path in health metrics status; do
	curl -fsS "$WORKER/-/$path" >"$W/$path.answer"
done
! grep -e "$CLUSTER_KEY" -e Signature= "$W"/*.log "$W"/*.answer "$W"/*.out ||
	fail "a secret was told"
stop_worker

refused() { # WORDS OPTIONS
	if "$TARN" worker "$SOURCE" -f -o "cache-dir=$W/worker,$STORE_OPTS,$2" \
		>"$W/refused" 2>&1; then
		fail "started with $2"
	fi
	grep -qF "$1" "$W/refused" || fail "$2: $(cat "$W/refused")"
}
refused 'cluster-key-file=' 'listen=0.0.0.0:0'
chmod 644 "$W/cluster.key"
refused 'chmod 600' "listen=127.0.0.1:0,cluster-key-file=$W/cluster.key"
chmod 600 "$W/cluster.key"
echo short >"$W/cluster.key"
refused 'one line' "listen=127.0.0.1:0,cluster-key-file=$W/cluster.key"
mkdir -p "$W/one/data" "$W/two/data"
if "$TARN" worker "file://$W/one/data" "file://$W/two/data" -f \
	-o "cache-dir=$W/worker,listen=127.0.0.1:0" >"$W/refused" 2>&1; then
	fail "served two of one name"
fi
grep -q 'both be served as data' "$W/refused"
