# SPDX-License-Identifier: Apache-2.0
# R2: twenty clients that ask for a cold object at once cost one GET of its
# bytes. A mount gets its headers while they are still on their way.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
start_store
sim_put small 'size=500000&seed=3' >"$W/o"
sim_put large 'size=2000000&seed=4' >"$W/o"
sim_put framed 'size=3000000&seed=5' >"$W/o"
start_worker
for key in small large; do
	sim_rule '{"name":"gate-'$key'","op":"GET","key":"'$key'","hold":true}'
	clients=
	for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		worker_curl /bucket/$key -f -o "$W/$key.$n" &
		clients="$clients $!"
	done
	waiting() { [ "$(sim "count?op=GET&key=$key")" -ge 1 ]; }
	wait_for 30 waiting
	sim "release?rule=gate-$key" ''
	# shellcheck disable=SC2086 # several
	wait $clients
	for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		expect_eq "$(sha "$W/$key.$n")" "$(sim_sha $key)" "$key, client $n"
	done
	expect_eq "$(sim "count?op=GET&key=$key")" 1 "GETs of $key"
done

sim_rule '{"name":"gate","op":"GET","key":"framed","hold":true}'
# Prints a line for the head, and the body into the file.
AWS_SECRET_ACCESS_KEY=$CLUSTER_KEY PYTHONPATH=$HELPERS \
	python3 - "$WORKER" "$W/body" >"$W/seen" <<'PYTHON' &
import sys
import s3

c = s3.S3(sys.argv[1], "bucket")
answer = c.conn.getresponse


def head():
    r = answer()
    print(r.status, r.headers["x-tarn-framed"], r.headers["content-range"],
          flush=True)
    return r


c.conn.getresponse = head
more = {"x-tarn-protocol": "1", "range": "bytes=65536-1114111"}
_, _, body = c.request("GET", b"framed", extra=more)
open(sys.argv[2], "wb").write(body)
PYTHON
client=$!
wait_for 30 grep -q '^206 1 bytes 65536-1114111/3000000' "$W/seen"
[ ! -e "$W/body" ] || fail "bytes came before the store sent them"
sim 'release?rule=gate' ''
wait $client
expect_eq "$(stat -c %s "$W/body")" $((1048576 + 16 * 8)) "bytes of the framed body"
curl -fsS "$SIM/_sim/get?bucket=bucket&key=framed" >"$W/framed"
python3 - "$W/body" "$W/framed" <<'PYTHON'
import sys

body, whole = (open(f, "rb").read() for f in sys.argv[1:])
for i in range(16):
    page = body[i * 65544 + 8 : (i + 1) * 65544]
    assert page == whole[65536 * (i + 1) : 65536 * (i + 2)], i
PYTHON
# Once it is all there its checksums come in the head, and the bytes plain.
ready() {
	worker_curl /bucket/framed -H 'x-tarn-protocol: 1' \
		-H 'Range: bytes=65536-1114111' -D "$W/head" -o "$W/body"
	grep -qi '^x-tarn-pages: [0-9a-f]* 1 ' "$W/head"
}
wait_for 20 ready
tail -c +65537 "$W/framed" | head -c 1048576 | cmp - "$W/body"
stop_worker
