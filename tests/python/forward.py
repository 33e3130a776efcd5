# SPDX-License-Identifier: Apache-2.0
"""A server at another address: forward.py ADDRESS PORT TO READY-FILE

Whatever connects to ADDRESS:PORT is connected to TO: a port of 127.0.0.1, or
the path of a Unix socket.
"""
import socket
import sys
import threading


def copy(a, b):
    try:
        while True:
            data = a.recv(65536)
            if not data:
                break
            b.sendall(data)
    except OSError:
        pass
    for s in (a, b):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


address, port, to, ready = sys.argv[1:5]
listener = socket.create_server((address, int(port)))
with open(ready, "w"):
    pass
while True:
    conn, _ = listener.accept()
    if to.startswith("/"):
        up = socket.socket(socket.AF_UNIX)
        up.connect(to)
    else:
        up = socket.create_connection(("127.0.0.1", int(to)))
    threading.Thread(target=copy, args=(conn, up), daemon=True).start()
    threading.Thread(target=copy, args=(up, conn), daemon=True).start()
