# SPDX-License-Identifier: Apache-2.0
# D6: the workers are the addresses of a name. When it has one more, that one is
# asked as well; when the name server fails or falls silent, all are kept; when
# it is back with one less, that one is asked no more. Readers see none of it.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
own_network --mount
start_store
sim_put_files d/f 0 39 30000 1
sim_sums d/f 0 39 >"$W/want"
for n in 2 3 4; do
	WORKER_LISTEN=127.0.0.$n:7070 start_worker -n w$n
done
printf 'nameserver 127.0.0.9\noptions timeout:1 attempts:1\n' >"$W/resolv.conf"
mount --bind "$W/resolv.conf" /etc/resolv.conf
answer() { # from now on
	echo "$*" >"$W/answer.new"
	mv "$W/answer.new" "$W/answer"
}
answer 127.0.0.2 127.0.0.3
python3 "$HELPERS/dns.py" 127.0.0.9 53 "$W/answer" "$W/ready" >"$W/asked" 2>"$W/dns.log" &
at_exit "kill $!"
wait_for 20 test -e "$W/ready"

mount_tarn "workers=dns://workers.test:7070,cluster-key-file=$W/cluster.key,prefetch=off"
are() { # the workers' last numbers
	[ "$(mount_stat "$MNT" "' '.join(w['name'][8] for w in m['ring']['workers'])")" = "$*" ]
}
failing() { [ "$(mount_stat "$MNT" "m['ring']['failing'] != ''")" = True ]; }
recovered() { [ "$(mount_stat "$MNT" "m['ring']['failing'] != ''")" = False ]; }
epoch() { # of nothing that this host has
	"$TARN" free "$MNT/d" >"$W/o"
	drop_caches
	python3 "$HELPERS/epoch.py" "$MNT/d" "$W/want" "$W/progress" >"$W/longest" ||
		fail "$1: $(cat "$W/longest")"
}
expect_eq "$(mount_stat "$MNT" "m['ring']['from']")" dns
are 2 3 || fail "other workers than the name server has"
epoch 'two workers'
gets=$(sim 'count?op=GET')
answer 127.0.0.3 127.0.0.4 127.0.0.2
wait_for 30 are 2 3 4
epoch 'three workers'
expect_eq "$(sim 'count?op=GET')" "$gets" "GETs after a worker came"
for word in SERVFAIL SILENT; do
	answer $word
	wait_for 30 grep -q "^1 $word" "$W/asked"
	wait_for 30 failing
	epoch $word
	are 2 3 4 || fail "$word: a worker was lost"
done
expect_eq "$(sim 'count?op=GET')" "$gets" "GETs without a name server"
answer 127.0.0.2 127.0.0.4
wait_for 40 are 2 4
recovered || fail "said to fail: $(mount_stat "$MNT" "m['ring']['failing']")"
epoch 'two others'
no_errors mnt
umount_tarn
