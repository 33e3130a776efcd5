# SPDX-License-Identifier: Apache-2.0
"""Ask a store for one object, again and again, until SIGTERM.

watch.py ENDPOINT BUCKET KEY[:NEW] FILE...: each answer has to be one of the
files, whole. Of KEY:NEW it is asked for NEW where there is no KEY, as it moves
there. Prints a line when the first answer was right, and at the end how often it
was; exit 1 with the reason in the last line when one was not.
"""
import signal
import sys

import s3

stop = False


def end(*_):
    global stop
    stop = True


def main():
    signal.signal(signal.SIGTERM, end)
    store = s3.S3(sys.argv[1], sys.argv[2])
    keys = [k.encode() for k in sys.argv[3].split(":")]
    allowed = []
    for name in sys.argv[4:]:
        with open(name, "rb") as f:
            allowed.append(f.read())
    asked = 0
    while not stop:
        for key in keys:
            status, _, body = store.request("GET", key)
            if status != 404:
                break
        if status != 200 or body not in allowed:
            print("request %d: status %d, %d bytes: %r" % (
                asked, status, len(body), body[:100]))
            return 1
        if asked == 0:
            print("it is there", flush=True)
        asked += 1
    print("there %d times" % asked)
    return 0


sys.exit(main())
