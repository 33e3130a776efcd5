# SPDX-License-Identifier: Apache-2.0
# Prometheus reads the metrics of a mount and of a worker, and promtool has
# nothing to say about them; also when the source is called as nobody should.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
need_command promtool

check_metrics() { # WHAT, which are in $W/metrics
	promtool check metrics <"$W/metrics" >"$W/promtool" 2>&1 ||
		fail "$1: $(head -n 5 "$W/promtool")"
	expect_eq "$(cat "$W/promtool")" "" "$1"
	expect_ge "$(grep -c '^tarn_' "$W/metrics")" 60 "metrics of $1"
}

# Quotes, what escapes, a line's end, no UTF-8, HTML, a label's end.
hostile=$(printf 'a"} 1\nb\\c\377\303\251<b>')
store=$W/$hostile
mkdir -p "$store" "$W/$hostile 2"
make_file "$store/f" 100000
for name in s3 file; do
	case $name in
	s3)
		STORE_KIND=objsim
		start_store
		sim_put f 'size=100000&seed=1' >"$W/o"
		;;
	file) SOURCE=file://$store STORE_OPTS= ;;
	esac
	mount_tarn -n "$name"
	cat "$W/$name/f" >"$W/o"
	curl -fsS --unix-socket "$(control_socket "$name")" \
		http://tarn/-/metrics >"$W/metrics"
	check_metrics "a mount of $name"
	start_worker -n "$name.w"
	curl -fsS "$WORKER/-/metrics" >"$W/metrics"
	check_metrics "a worker of $name"
done
grep -qF 'a\"} 1' "$W/metrics" ||
	fail "the source is not named: $(grep tarn_info "$W/metrics")"

# Two hostile sources of one worker.
mkdir -m 700 "$W/two"
"$TARN" worker "file://$store" "file://$W/$hostile 2" \
	-o "listen=127.0.0.1:0,cache-dir=$W/two,log=$W/two.log" \
	>"$W/two.out" 2>&1 || fail "worker: $(cat "$W/two.out")"
at_exit 'stop_worker two'
curl -fsS "http://$(sed -n 's/^  listen *//p' "$W/two.out")/-/metrics" >"$W/metrics"
check_metrics "a worker of two"
expect_eq "$(grep -c '^tarn_info{' "$W/metrics")" 2
