# SPDX-License-Identifier: Apache-2.0
# A mount that waits for a store which does not answer ends soon when it is
# interrupted, in the background and in the foreground, whichever of its
# processes gets the signal; nothing is left mounted or running.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
start_store
sim_rule '{"name":"silent","op":"LIST","hold":true}'
asked=0
start() { # FLAGS...: a mount in the background of this shell
	"$TARN" mount "$SOURCE" "$MNT" "$@" \
		-o "cache-dir=$CACHE,log=$W/mnt.log,$STORE_OPTS" \
		>"$W/out" 2>"$W/err" 9>&- &
	pid=$!
	asked=$((asked + 1))
	wait_for 20 arrived
}
arrived() {
	[ "$(sim 'count?op=LIST')" -ge "$asked" ]
}
nothing_left() {
	expect_eq "$(mounts_here)" ""
	wait_for 20 none_running
	asked=$(sim 'count?op=LIST')
}
none_running() {
	[ -z "$(pgrep -f "mount $SOURCE $MNT")" ]
}
start
kill -TERM $pid
wait $pid || true
nothing_left
start
# The child: the process that has it as a parent.
kill -TERM "$(pgrep -P $pid)"
rc=0
wait $pid || rc=$?
expect_eq $rc 1
grep -q interrupted "$W/err" || fail "$(cat "$W/err")"
nothing_left
start -f
kill -TERM $pid
rc=0
wait $pid || rc=$?
expect_eq $rc 1
nothing_left
start
kill -KILL $pid
wait $pid || true
nothing_left

# While a program is waited for that shall give keys: it ends as well.
mkdir -p "$HOME/.aws"
printf '[profile slow]\ncredential_process = "%s"\n' "$W/slow" >"$HOME/.aws/config"
cat >"$W/slow" <<EOF
#!/bin/sh
echo \$\$ >"$W/slow.pid"
exec tail -f /dev/null
EOF
chmod +x "$W/slow"
for flag in -f ''; do
	rm -f "$W/slow.pid"
	# shellcheck disable=SC2086 # none or one
	"$TARN" mount "$SOURCE" "$MNT" $flag \
		-o "cache-dir=$CACHE,log=$W/mnt.log,$STORE_OPTS,profile=slow" \
		>"$W/out" 2>"$W/err" 9>&- &
	pid=$!
	wait_for 20 test -s "$W/slow.pid"
	kill -TERM $pid
	wait $pid || true
	nothing_left
	wait_for 20 no_process "$(cat "$W/slow.pid")"
done
