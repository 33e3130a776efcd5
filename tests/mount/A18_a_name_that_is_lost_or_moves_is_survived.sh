# SPDX-License-Identifier: Apache-2.0
# A18: the store's name is no longer resolved, refused at once or without any
# answer: live connections go on, new ones go where the store was. When the
# name is back with another address, that is found.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
need_command nft
own_network --mount
start_store
mkdir "$W/etc"
printf '127.0.0.1 localhost\n' >"$W/etc/nobody"
printf '127.0.0.1 localhost\n127.0.0.2 store.test\n' >"$W/etc/first"
printf '127.0.0.1 localhost\n127.0.0.3 store.test\n' >"$W/etc/second"
# No domain to try names in, and one server that no one is.
printf 'nameserver 127.0.0.9\n' >"$W/etc/resolv.conf"
cp "$W/etc/first" "$W/etc/hosts"
mount --bind "$W/etc/hosts" /etc/hosts
mount --bind "$W/etc/resolv.conf" /etc/resolv.conf
names() { # FILE: the names that are known from now on
	cat "$W/etc/$1" >"$W/etc/hosts"
}
store_at() { # ADDRESS: sets FORWARD
	rm -f "$W/ready"
	python3 "$HELPERS/forward.py" "$1" 9000 "${SIM##*:}" "$W/ready" \
		>"$W/forward.log" 2>&1 &
	FORWARD=$!
	at_exit "kill $FORWARD 2>$W/o"
	wait_for 20 test -e "$W/ready"
}
i=0
while [ $i -lt 40 ]; do
	sim_put f$i "size=300000&seed=$i" >"$W/o"
	i=$((i + 1))
done
read_eight() { # FIRST: at once, so that each has a connection of its own
	sim_rule "{\"name\":\"far$1\",\"op\":\"GET\",\"count\":8,\"delay_ms\":300}"
	readers=
	for n in 0 1 2 3 4 5 6 7; do
		sha "$MNT/f$(($1 + n))" >"$W/sum$n" &
		readers="$readers $!"
	done
	for p in $readers; do wait "$p"; done
	for n in 0 1 2 3 4 5 6 7; do
		expect_eq "$(cat "$W/sum$n")" "$(sim_sha f$(($1 + n)))" "f$(($1 + n))"
	done
}
fallbacks() { mount_stat "$MNT" "m['counters']['store_dns_fallbacks']"; }

store_at 127.0.0.2
STORE_OPTS=endpoint=http://store.test:9000,path-style=on
mount_tarn
expect_eq "$(sha "$MNT/f0")" "$(sim_sha f0)" "while all is well"
expect_eq "$(fallbacks)" 0 "connections without a name server"

names nobody
read_eight 8
before=$(fallbacks)
expect_ge "$before" 1 "connections without a name server"
grep -q 'cannot be resolved' "$W/mnt.log" || fail "nothing in the log"

# The name server is silent, and asked again.
umount_tarn
names first
mount_tarn
stat "$MNT/f0" "$MNT/f39" >"$W/o"
names nobody
nft -f - <<'RULES'
table inet t {
	chain in {
		type filter hook input priority 0;
		udp dport 53 drop
		tcp dport 53 drop
	}
}
RULES
began=$(date +%s)
read_eight 16 &
eight=$!
# Nobody else waits for the name server: cached bytes, stats, listings.
for _ in 1 2 3; do
	expect_eq "$(sha "$MNT/f0")" "$(sim_sha f0)" "a cached read meanwhile"
	expect_eq "$(stat -c %s "$MNT/f39")" 300000 "a stat meanwhile"
done
kill -0 $eight || fail "the name server was not waited for"
wait $eight || fail "readers without a name server"
took=$(($(date +%s) - began))
expect_ge $took 4 "seconds until the name server was given up"
expect_le $took 20 "seconds without a name server's answer"
expect_ge "$(fallbacks)" 1 "connections without a name server"
# Those that are made now do not wait for it.
began=$(date +%s)
sim_rule '{"name":"cut","op":"GET","count":4,"after_bytes":1000,"then":"rst"}'
read_eight 24
expect_le $(($(date +%s) - began)) 5 "seconds when that was known"
expect_fired cut 4

# It is back and names another address; the old one refuses.
names second
kill $FORWARD
store_at 127.0.0.3
read_eight 32
grep -q . "$W/forward.log" && fail "forward: $(cat "$W/forward.log")"
umount_tarn
