# SPDX-License-Identifier: Apache-2.0
# A19: an unknown CA, a wrong host, an expired certificate, TLS 1.0, and a
# redirect to plain HTTP: refused, once, with a line that says why; with its
# CA the server is believed.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
need_command openssl
start_store
sim_put f 'size=100000&seed=1' >"$W/o"
mkdir -p "$W/tls"
make_cert() { # NAME DAYS SUBJECT-ALT-NAME
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-keyout "$W/tls/$1.key" -out "$W/tls/$1.crt" -days "$2" \
		-subj "/CN=$1" -addext "subjectAltName=$3" 2>"$W/o"
}
make_cert good 2 IP:127.0.0.1
make_cert other 2 DNS:elsewhere.example
python3 "$HELPERS/certs.py" expired "$W/tls/expired.key" "$W/tls/expired.crt"
front() { # NAME [ARGUMENT...]: a TLS server before objsim; sets TLS
	rm -f "$W/tls/port"
	python3 "$HELPERS/tlsfront.py" "$W/tls/$1.crt" "$W/tls/$1.key" \
		"${SIM##*:}" "$W/tls/port" ${2+"$2"} >"$W/tls.log" 2>&1 &
	front_pid=$!
	at_exit "kill $front_pid 2>$W/o"
	wait_for 20 test -s "$W/tls/port"
	TLS=https://127.0.0.1:$(cat "$W/tls/port")
}
refused() { # WHAT CA
	set +e
	timeout 60 "$TARN" mount s3://bucket "$MNT" -o \
		"cache-dir=$CACHE,endpoint=$TLS,path-style=on,ca-bundle=$2" >"$W/out" 2>&1
	rc=$?
	set -e
	expect_eq "$rc" 1 "exit for $1: $(cat "$W/out")"
	expect_eq "$(wc -l <"$W/out")" 1 "lines for $1"
	! mounts_here | grep -q . || fail "mounted with $1"
	kill "$front_pid"
}
front good
refused "an unknown CA" "$W/tls/other.crt"
grep -qiE 'cert|TLS|SSL' "$W/out" || fail "no reason: $(cat "$W/out")"
front other
refused "another host's certificate" "$W/tls/other.crt"
front expired
refused "an expired certificate" "$W/tls/expired.crt"
front good tls1.0
refused "TLS 1.0" "$W/tls/good.crt"
expect_eq "$(sim count)" 0 "requests that passed any of them"
front good redirect
refused "a redirect to plain HTTP" "$W/tls/good.crt"
expect_eq "$(sim count)" 0 "requests that followed the redirect"
front good
STORE_OPTS=endpoint=$TLS,path-style=on,ca-bundle=$W/tls/good.crt
mount_tarn
expect_eq "$(sha "$MNT/f")" "$(sim_sha f)"
umount_tarn
