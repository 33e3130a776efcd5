# SPDX-License-Identifier: Apache-2.0
# D3: a worker answers with a flipped bit, a page too little, another version,
# another size, other checksums or another range: what is read is right, the
# worker is counted as wrong and not asked again for a minute. One whose bodies
# end early is gone round as one that failed.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
: >"$W/want"
for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
	sim_put d/f$n "size=$((n * 40000))&seed=$n" >"$W/o"
	echo "$(sim_sha d/f$n)  d/f$n" >>"$W/want"
done
sim_put large 'size=9000000&seed=1000' >"$W/o"
echo "$(sim_sha large)  large" >>"$W/want"
start_worker -n behind
start_liar liar "$WORKER"
start_worker -n good
with="workers=$LIAR+${WORKER#http://},cluster-key-file=$W/cluster.key,prefetch=off"
epoch() { # of nothing that this host has
	"$TARN" free "$W/$mode" >"$W/o"
	drop_caches
	python3 "$HELPERS/epoch.py" "$W/$mode" "$W/want" "$W/progress" >"$W/longest" ||
		fail "$mode: $(cat "$W/longest")"
}
for mode in true flip cut version size sums range end; do
	mkdir -m 700 "$W/cache.$mode"
	CACHE_DIR=$W/cache.$mode mount_tarn -n $mode "$with"
	liar liar $mode
	asked=$(liar_count liar)
	epoch
	expect_ge "$(liar_count liar)" $((asked + 1)) "$mode: objects asked of it"
	case $mode in
	true)
		expect_eq "$(counter $mode peer_errors)" 0 "errors of one that is true"
		expect_ge "$(mount_stat "$W/$mode" "[w['hit_bytes'] for w in m['ring']['workers'] if w['name'] == '$LIAR'][0]")" \
			100000 "bytes of one that is true"
		;;
	end)
		expect_eq "$(counter $mode peer_wrong)" 0 "wrong answers, not short ones"
		expect_ge "$(counter $mode peer_errors)" 3 "short answers"
		expect_eq "$(ring_state $mode "$LIAR")" down
		;;
	*)
		expect_ge "$(counter $mode peer_wrong)" 1 "$mode: wrong answers"
		expect_eq "$(ring_state $mode "$LIAR")" quarantined "$mode"
		grep -q "worker $LIAR is not asked for a minute" "$W/$mode.log"
		asked=$(wc -l <"$W/liar.count")
		epoch
		expect_eq "$(wc -l <"$W/liar.count")" "$asked" "$mode: requests of it afterwards"
		;;
	esac
	no_errors $mode
	umount_tarn $mode
done
