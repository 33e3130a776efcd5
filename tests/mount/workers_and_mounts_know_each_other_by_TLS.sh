# SPDX-License-Identifier: Apache-2.0
# Mutual TLS stands in for the cluster's key: a mount and a worker that the same
# authority has signed read each other; a worker of another authority is never
# believed, a client without a certificate or of another authority gets no
# answer about any object, nor does one that speaks TLS 1.1 or plain HTTP; keys
# that others can read, or that do not belong together, are refused at start.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
need_command openssl
start_store
sim_put d/small 'size=100000&seed=1' >"$W/o"
sim_put d/large 'size=9000000&seed=2' >"$W/o"

authority() { # NAME
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-keyout "$W/$1.ca.key" -out "$W/$1.ca" -days 2 \
		-subj "/CN=$1" 2>"$W/o"
}
certificate() { # NAME AUTHORITY
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-keyout "$W/$1.key" -out "$W/$1.csr" -subj "/CN=$1" 2>"$W/o"
	printf 'subjectAltName=IP:127.0.0.1\n' >"$W/ext"
	openssl x509 -req -in "$W/$1.csr" -CA "$W/$2.ca" -CAkey "$W/$2.ca.key" \
		-CAcreateserial -days 2 -extfile "$W/ext" -out "$W/$1.pem" 2>"$W/o"
	chmod 600 "$W/$1.key"
}
tls() { # NAME AUTHORITY
	echo "tls-cert=$W/$1.pem,tls-key=$W/$1.key,tls-ca=$W/$2.ca"
}
authority ours
authority theirs
certificate node ours
certificate mount ours
certificate rogue theirs

start() { # NAME OPTION,...
	mkdir -p "$W/$1"
	chmod 700 "$W/$1"
	"$TARN" worker "$SOURCE" \
		-o "listen=127.0.0.1:0,cache-dir=$W/$1,log=$W/$1.log,$STORE_OPTS,$2" \
		>"$W/$1.out" 2>&1 8>&- 9>&- || return 1
	at_exit "stop_worker $1"
	at=$(sed -n 's/^  listen *//p' "$W/$1.out")
}
start good "$(tls node ours)" || fail "$(cat "$W/good.out")"
good=$at
grep -q "is served as https://$good/bucket" "$W/good.out"
start bad "$(tls rogue theirs)" || fail "$(cat "$W/bad.out")"
bad=$at

ask() { # CURL-ARGUMENT...: status, 000 without an answer
	curl -s -o "$W/answer" -w '%{http_code}' --max-time 10 --cacert "$W/ours.ca" \
		"$@" "https://$good/bucket/d/small" || true
}
expect_eq "$(ask --cert "$W/mount.pem" --key "$W/mount.key")" 200 "ours"
expect_eq "$(sha "$W/answer")" "$(sim_sha d/small)"
case $(ask) in 403 | 000) ;; *) fail "answered who has no certificate" ;; esac
case $(ask --cert "$W/rogue.pem" --key "$W/rogue.key") in
403 | 000) ;;
*) fail "answered who has another's certificate" ;;
esac
expect_eq "$(ask --cert "$W/mount.pem" --key "$W/mount.key" --tls-max 1.1 --ciphers 'ALL@SECLEVEL=0')" \
	000 "TLS 1.1"
curl -s --max-time 10 "http://$good/bucket/d/small" >"$W/answer" || true
! grep -q . "$W/answer" || fail "answered in plain HTTP"

mkdir -m 700 "$W/c1" "$W/c2"
CACHE_DIR=$W/c1 mount_tarn -n with_good "workers=$good,$(tls mount ours)"
expect_eq "$(sha "$W/with_good/d/large")" "$(sim_sha d/large)"
expect_eq "$(sha "$W/with_good/d/small")" "$(sim_sha d/small)"
expect_eq "$(mount_stat "$W/with_good" "m['store']['get']")" 0 "GETs of its own"
# Who is not signed by ours is no worker of ours.
CACHE_DIR=$W/c2 mount_tarn -n with_bad "workers=$bad,$(tls mount ours)"
expect_eq "$(sha "$W/with_bad/d/large")" "$(sim_sha d/large)"
expect_eq "$(mount_stat "$W/with_bad" "m['reads']['peer_bytes']")" 0 "bytes of the rogue"
expect_ge "$(mount_stat "$W/with_bad" "m['counters']['peer_errors']")" 1 "refused"

# The commands that look at a worker show who they are, too.
for args in "status $good" "status --json $good" "top -n 1 $good" "ring $good"; do
	# shellcheck disable=SC2086 # words
	! "$TARN" $args >"$W/out" 2>"$W/err" || fail "tarn $args, without TLS"
	grep -q 'tls-ca=' "$W/err" || fail "tarn $args: $(cat "$W/err")"
done
for args in "status $good" "status --json $good" "top -n 1 $good"; do
	# shellcheck disable=SC2086 # words
	"$TARN" $args -o "$(tls mount ours)" >"$W/out" 2>"$W/err" ||
		fail "tarn $args: $(cat "$W/err")"
	grep -q "$good" "$W/out" || fail "tarn $args: $(cat "$W/out")"
done
printf '{"tls-ca": "%s", "tls-cert": "%s", "tls-key": "%s"}\n' \
	"$W/ours.ca" "$W/mount.pem" "$W/mount.key" >"$W/looks.json"
"$TARN" status "$good" -c "$W/looks.json" >"$W/out" || fail "status -c"
rc=0
"$TARN" status -o workers=127.0.0.1:1 "$W/with_good" 2>"$W/err" || rc=$?
expect_eq $rc 2 "-o for a mount"

chmod 640 "$W/node.key"
! start late "$(tls node ours)" || fail "a key that others can read was taken"
grep -q 'chmod 600' "$W/late.out"
chmod 600 "$W/node.key"
cp "$W/mount.key" "$W/mixed.key"
cp "$W/node.pem" "$W/mixed.pem"
! start late "$(tls mixed ours)" || fail "a key of another certificate was taken"
grep -q 'tls-cert and tls-key' "$W/late.out"
! start late "tls-cert=$W/node.pem" || fail "a certificate without its key"
grep -q 'both tls-cert= and tls-key=' "$W/late.out"

# A mount is refused them as well, and not told later that a worker is down.
mkdir -p "$W/late"
refused() { # WORDS OPTION,...
	rc=0
	"$TARN" mount "$SOURCE" "$W/late" \
		-o "$STORE_OPTS,cache-dir=$W/late.cache,workers=127.0.0.1:1,$2" \
		>"$W/late.out" 2>&1 || rc=$?
	expect_eq $rc 1 "mount with $2"
	grep -q "$1" "$W/late.out" || fail "$(cat "$W/late.out")"
}
refused 'tls-cert and tls-key' "$(tls mixed ours)"
refused 'both tls-cert= and tls-key=' "tls-key=$W/node.key,tls-ca=$W/ours.ca"
refused 'tls-ca=.*: No such file' "tls-ca=$W/none"
refused 'tls-ca: ' "tls-ca=$W/ext"
chmod 640 "$W/node.key"
refused 'chmod 600' "$(tls node ours)"
