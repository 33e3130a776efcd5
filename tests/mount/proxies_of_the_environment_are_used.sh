# SPDX-License-Identifier: Apache-2.0
# http_proxy, https_proxy and no_proxy do what they do for other programs: the
# store's name is the proxy's to resolve, and TLS goes through a tunnel.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
need_command openssl
start_store
for n in 1 2 3; do
	sim_put f$n "size=2000000&seed=$n" >"$W/o"
done
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	-keyout "$W/key.pem" -out "$W/cert.pem" -days 2 -subj /CN=store \
	-addext subjectAltName=DNS:store.invalid 2>"$W/o"
python3 "$HELPERS/tlsfront.py" "$W/cert.pem" "$W/key.pem" "${SIM##*:}" \
	"$W/tls.port" >"$W/tls.log" 2>&1 &
at_exit "kill $!"
wait_for 20 test -s "$W/tls.port"
: >"$W/asked"
python3 "$HELPERS/proxy.py" "$W/proxy.port" "$W/asked" "${SIM##*:}" \
	"$(cat "$W/tls.port")" >"$W/proxy.log" 2>&1 &
at_exit "kill $!"
wait_for 20 test -s "$W/proxy.port"
proxy=http://user:proxysecret@127.0.0.1:$(cat "$W/proxy.port")
asked() { # METHOD: how often
	grep -c "^$1 " "$W/asked" || true
}

STORE_OPTS=endpoint=http://store.invalid:9000,path-style=on
http_proxy=$proxy mount_tarn
expect_eq "$(sha "$MNT/f1")" "$(sim_sha f1)" "plain"
grep -q '^GET http://store.invalid:9000/bucket/f1$' "$W/asked" || fail "not asked: $(cat "$W/asked")"
expect_eq "$(asked CONNECT)" 0 tunnels
umount_tarn

STORE_OPTS=endpoint=https://store.invalid,path-style=on
AWS_CA_BUNDLE=$W/cert.pem https_proxy=$proxy mount_tarn
expect_eq "$(sha "$MNT/f2")" "$(sim_sha f2)" "TLS"
expect_ge "$(asked CONNECT)" 1 tunnels
grep -q '^CONNECT store.invalid:443$' "$W/asked" || fail "not asked: $(cat "$W/asked")"
umount_tarn

n=$(wc -l <"$W/asked")
STORE_OPTS=endpoint=$SIM,path-style=on
http_proxy=$proxy no_proxy=localhost,127.0.0.1 mount_tarn
expect_eq "$(sha "$MNT/f3")" "$(sim_sha f3)" "no proxy"
expect_eq "$(wc -l <"$W/asked")" "$n" "requests that went through it"
umount_tarn
! grep -rqs proxysecret "$W"/*.log "$W"/*.out || fail "the proxy's password was told"
