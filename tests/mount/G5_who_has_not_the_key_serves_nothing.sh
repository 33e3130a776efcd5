# SPDX-License-Identifier: Apache-2.0
# G5: in the list of workers are one of another cluster's key and a web server
# that is no worker at all: a mount takes nothing of them, reads every byte, and
# says once who refuses it.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
: >"$W/want"
n=0
while [ $n -lt 30 ]; do
	sim_put d/f$n "size=$((50000 + n))&seed=$n" >"$W/o"
	echo "$(sim_sha d/f$n)  d/f$n" >>"$W/want"
	n=$((n + 1))
done
start_worker -n good
good=${WORKER#http://}
mv "$W/cluster.key" "$W/ours.key"
(umask 077 && echo "another-cluster-$CLUSTER_KEY" >"$W/cluster.key")
start_worker -n stranger
stranger=${WORKER#http://}
mkdir -p "$W/www/bucket/d"
for n in 0 1 2 3 4 5 6 7 8 9; do
	make_file "$W/www/bucket/d/f$n" $((50000 + n)) 777
done
port=$(free_port)
(cd "$W/www" && exec python3 -m http.server --bind 127.0.0.1 "$port") >"$W/www.log" 2>&1 8>&- 9>&- &
at_exit "kill $!"
wait_for 20 curl -fs -o /dev/null "http://127.0.0.1:$port/"
mount_tarn "workers=$good+$stranger+127.0.0.1:$port,cluster-key-file=$W/ours.key,prefetch=off"
python3 "$HELPERS/epoch.py" "$MNT" "$W/want" "$W/progress" >"$W/longest" ||
	fail "$(cat "$W/longest")"
of() { mount_stat "$MNT" "[w['$2'] for w in m['ring']['workers'] if w['name'] == '$1'][0]"; }
expect_ge "$(of "$good" hit_bytes)" 50000 "bytes of the one with the key"
for rogue in "$stranger" "127.0.0.1:$port"; do
	expect_eq "$(of "$rogue" hit_bytes)" 0 "bytes of $rogue"
done
expect_eq "$(of "127.0.0.1:$port" state)" quarantined
expect_eq "$(grep -c "worker $stranger refuses what it is asked" "$W/mnt.log")" 1 \
	"times that the other's refusal was said"
no_errors mnt
umount_tarn
