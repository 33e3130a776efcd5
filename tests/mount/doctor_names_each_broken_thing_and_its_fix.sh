# SPDX-License-Identifier: Apache-2.0
# tarn doctor: everything right is exit 0; each broken thing is one FAIL that
# names it and its fix, what depends on it is skipped with the reason, and
# nothing is left behind, mounted or shown that is secret.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
need_command openssl
start_store
sim_put d/f 'size=100000&seed=1' >"$W/o"
sim_put small 'size=10&seed=2' >"$W/o"
rmdir "$CACHE"
O=cache-dir=$CACHE,passthrough=off

doctor() { # EXIT ARGUMENT...: what it printed is in $W/doctor
	want=$1
	shift
	set +e
	timeout 100 "$TARN" doctor "$@" >"$W/doctor" 2>&1
	rc=$?
	set -e
	expect_eq "$rc" "$want" "exit of doctor $*: $(cat "$W/doctor")"
	! grep -qaE 'tarnsecret|nosuchsecret' "$W/doctor" ||
		fail "a secret: $(cat "$W/doctor")"
	[ ! -e "$CACHE" ] || fail "it made $CACHE"
}
says() { # RESULT CHECK [WORDS]
	grep -qE "^$1  $2 .*${3-}" "$W/doctor" ||
		fail "no '$1 $2 ${3-}' in: $(cat "$W/doctor")"
}
only() { # CHECK...: these failed and no other; each has its fix
	got=$(awk '$1 == "FAIL" { print $2 }' "$W/doctor" | tr '\n' ' ')
	expect_eq "$got" "$* " "what failed: $(cat "$W/doctor")"
	! grep '^FAIL' "$W/doctor" | grep -qv '; .' || fail "no fix"
}

# All is well.
doctor 0 "$SOURCE" -o "$STORE_OPTS,$O"
says PASS fuse
says PASS credentials 'keys of environment'
says PASS connect 127.0.0.1
says SKIP tls 'plain HTTP'
says PASS list
says PASS get 'the first byte of small'
says PASS put 'put, told of and removed'
says PASS conditions
says PASS staging-dir 'will be made'
says PASS clock '[0-2] s from'
says PASS cache-dir 'will be made'
says PASS cache-io 'MB/s'
says SKIP mount
says SKIP workers
expect_eq "$(grep -cvE '^(PASS|SKIP)  [a-z0-9-]+ +[^ ]' "$W/doctor")" 0 \
	"lines of another form"
doctor 0 "$SOURCE" -o "$STORE_OPTS,$O" --json
expect_eq "$(json "$W/doctor" "j['failed'], len(j['checks'])")" "(0, 24)"
expect_eq "$(json "$W/doctor" "[c['check'] for c in j['checks'] if c['result'] == 'FAIL']")" "[]"

# Bucket, keys, endpoint.
doctor 1 s3://nobucket -o "$STORE_OPTS,$O"
only list
says FAIL list 'NoSuchBucket.*; check the bucket'
says SKIP get
(
	export AWS_SECRET_ACCESS_KEY=nosuchsecret
	doctor 1 "$SOURCE" -o "$STORE_OPTS,$O"
)
only list
says FAIL list 'SignatureDoesNotMatch.*; check the keys'
(
	export AWS_ACCESS_KEY_ID=other
	doctor 1 "$SOURCE" -o "$STORE_OPTS,$O"
)
only list
says FAIL list 'InvalidAccessKeyId'
(
	unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
	doctor 1 "$SOURCE" -o "$STORE_OPTS,$O"
)
only credentials
says FAIL credentials 'no keys found'
says PASS connect
says SKIP list 'no keys'
port=$(free_port)
doctor 1 "$SOURCE" -o "endpoint=http://127.0.0.1:$port,$O"
only connect
says FAIL connect "port $port.*; check the host and port"
says SKIP list 'not reached'
doctor 1 "$SOURCE" -o "endpoint=http://-.invalid:9000,$O"
only dns
says FAIL dns '; check the host in endpoint='
doctor 1 "$SOURCE" -o "endpoint=https://127.0.0.1:${SIM##*:},$O"
only tls
says SKIP list

# A refusal of LIST, and of GET alone.
sim_rule '{"name": "l", "op": "LIST", "status": 403, "code": "AccessDenied"}'
doctor 1 "$SOURCE" -o "$STORE_OPTS,$O"
only list
says FAIL list '; give these keys the right to list'
sim clear ''
sim_rule '{"name": "g", "op": "GET", "status": 403, "code": "AccessDenied"}'
doctor 1 "$SOURCE" -o "$STORE_OPTS,$O"
only get
says FAIL get '; give these keys the right to read'
sim clear ''

# The clock.
sim_rule '{"name": "c", "date_offset_s": 3600}'
doctor 1 "$SOURCE" -o "$STORE_OPTS,$O"
expect_fired c
only clock
says FAIL clock '(3599|3600) s behind.*; set this host'
sim clear ''
sim_rule '{"name": "c", "date_offset_s": -3600}'
doctor 1 "$SOURCE" -o "$STORE_OPTS,$O"
says FAIL clock '(3600|3601) s ahead of'
sim clear ''

# TLS: an unknown authority; then with its certificate.
mkdir -p "$W/tls"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	-keyout "$W/tls/key" -out "$W/tls/crt" -days 2 -subj /CN=x \
	-addext subjectAltName=IP:127.0.0.1 2>"$W/o"
python3 "$HELPERS/tlsfront.py" "$W/tls/crt" "$W/tls/key" "${SIM##*:}" \
	"$W/tls/port" >"$W/tls.log" 2>&1 &
at_exit "kill $!"
wait_for 20 test -s "$W/tls/port"
TLS=endpoint=https://127.0.0.1:$(cat "$W/tls/port"),path-style=on
doctor 1 "$SOURCE" -o "$TLS,$O"
only tls
says FAIL tls 'certificate.*; name the authority .* ca-bundle='
says SKIP list
doctor 0 "$SOURCE" -o "$TLS,ca-bundle=$W/tls/crt,$O"
says PASS tls believed

# The cache: open to others, another's, a file, full of something else.
mkdir "$W/world" "$W/foreign"
chmod 777 "$W/world"
chmod 700 "$W/foreign"
: >"$W/plain"
: >"$W/foreign/thesis"
P=$STORE_OPTS,passthrough=off
doctor 1 "$SOURCE" -o "$P,cache-dir=$W/world"
only cache-dir
says FAIL cache-dir "$W/world may be written by others; run chmod 700"
doctor 1 "$SOURCE" -o "$P,cache-dir=$W/foreign"
only cache-dir
says FAIL cache-dir "thesis.*; empty it"
doctor 1 "$SOURCE" -o "$P,cache-dir=$W/plain"
says FAIL cache-dir 'not a directory'
expect_eq "$(find "$W/world" "$W/foreign" -type f)" "$W/foreign/thesis"

# Where written files go; who only reads needs it not.
doctor 1 "$SOURCE" -o "$STORE_OPTS,$O,staging-dir=$W/world"
only staging-dir
says FAIL staging-dir "$W/world may be written by others; run chmod 700"
doctor 1 "$SOURCE" -o "$STORE_OPTS,$O,staging-dir=$W/plain"
only staging-dir
says FAIL staging-dir 'not a directory; name another'
ln -s "$W/foreign" "$W/link"
doctor 1 "$SOURCE" -o "$STORE_OPTS,$O,staging-dir=$W/link"
says FAIL staging-dir 'is a symlink; name the directory'
doctor 1 "$SOURCE" -o "$STORE_OPTS,$O,staging-dir=/proc/none"
says FAIL staging-dir '; .*or mount with ro'
doctor 0 "$SOURCE" -o "$STORE_OPTS,$O,staging-dir=$W/foreign"
says PASS staging-dir "$W/foreign is this user's, .* free"
for errno in 95 5; do
	echo "fallocate $W/foreign 1 0 $errno" >"$W/rules"
	rc=0
	FAULTIO=$W/rules LD_PRELOAD=$SHIMS/libfaultio.so "$TARN" doctor "$SOURCE" \
		-o "$STORE_OPTS,$O,staging-dir=$W/foreign" >"$W/doctor" 2>&1 || rc=$?
	expect_eq $rc $((errno == 5)) "exit: $(cat "$W/doctor")"
	case $errno in
	95) says PASS staging-dir 'cannot reserve' ;;
	*) says FAIL staging-dir 'reserved: Input/output error; look at the disk' ;;
	esac
done
doctor 0 "$SOURCE" -o "$STORE_OPTS,$O,staging-dir=$W/world,ro"
says SKIP staging-dir 'read only'
says SKIP put 'read only'

# Who is not root needs fusermount3; passthrough is not for them.
if [ "$(id -u)" = 0 ] && command -v setpriv >"$W/o"; then
	as_nobody() {
		setpriv --reuid 65534 --regid 65534 --clear-groups \
			--inh-caps=-all "$@"
	}
	chmod 755 "$W"
	if as_nobody test -x "$TARN"; then
		as_nobody env PATH=/nowhere "$TARN" doctor "$SOURCE" -o \
			"$STORE_OPTS,cache-size=0" >"$W/doctor" 2>&1 && rc=0 || rc=$?
		expect_eq "$rc" 1 "exit without fusermount3"
		says FAIL fusermount3 'absent.*; install the package fuse3'
		says SKIP passthrough 'only root'
		says SKIP cache-dir 'cache-size=0'
	fi
fi

# Options that would be refused by mount are wrong usage here, too.
doctor 2 "$SOURCE" -o memry=1G
doctor 2 "$SOURCE" /tmp
doctor 1 "$W/world"
grep -q 'neither a source nor on a mount' "$W/doctor"
