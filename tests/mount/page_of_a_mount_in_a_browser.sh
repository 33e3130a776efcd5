# SPDX-License-Identifier: Apache-2.0
# The page of a mount, whose socket a browser reaches through a proxy only: it
# shows what status says, the ring, hot files, jobs and errors, and follows.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need_fuse
need_browser
start_store
sim_put d/hot 'size=9000000&seed=1' >"$W/o"
sim_put d/cold 'size=100000&seed=2' >"$W/o"
sim_put d/broken 'size=3000000&seed=3' >"$W/o"
sim_put d/later 'size=3000000&seed=4' >"$W/o"
sim_rule '{"op":"GET","key":"d/broken","status":403,"name":"broken"}'
start_worker
name=${WORKER#http://}
mount_tarn "passthrough=off,workers=$name,cluster-key-file=$W/cluster.key"
cat "$MNT/d/hot" "$MNT/d/hot" >"$W/o"
"$TARN" load "$MNT/d/cold" "$MNT/d/broken" >"$W/load" 2>&1 && fail "loaded"
expect_fired broken
forward_control mnt
pid=$(mount_pid)
# A daemon that is stopped could not be taken down.
at_exit "kill -CONT $pid"
check_page "$CONTROL/-/" "cat $MNT/d/later >$W/o" "kill -STOP $pid" \
	'mounted on' 'd/hot' 'Load 1: failed' '2 of 2 files' '1 failed' \
	"$name" '1 worker, change 1' '!No ring'
