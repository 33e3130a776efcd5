# SPDX-License-Identifier: Apache-2.0
# G1, G2: what two readers of one connection might read differently is refused;
# who is slow with his headers, or has too many connections, is cut off, and
# others are served meanwhile.
# shellcheck shell=sh source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
start_store
start_worker
python3 "$HELPERS/smuggle.py" "${WORKER#http://}" /-/metrics >"$W/scripts" ||
	fail "$(cat "$W/scripts")"

python3 - "${WORKER#http://}" <<'PYTHON'
import socket
import sys
import time

host, port = sys.argv[1].rsplit(":", 1)
began = time.time()
slow = [socket.create_connection((host, int(port))) for _ in range(20)]
ended = set()
# A byte every 0.3 seconds.
for i in range(60):
    for s in slow:
        try:
            s.send(b"GET /-/health HTTP/1.1\r\nX-A: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"[i:i + 1])
        except OSError:
            ended.add(s)
    if len(ended) == len(slow):
        break
    time.sleep(0.3)
took = time.time() - began
assert len(ended) == len(slow), len(ended)
assert 4 < took < 10, took
PYTHON
curl -fsS "$WORKER/-/health" >"$W/o"
stop_worker
