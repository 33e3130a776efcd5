# SPDX-License-Identifier: Apache-2.0
"""A web proxy: proxy.py PORT-FILE LOG HTTP-PORT CONNECT-PORT

Whatever host is asked for, plain requests go to 127.0.0.1:HTTP-PORT and
tunnels to 127.0.0.1:CONNECT-PORT. Each is a line of LOG: METHOD TARGET. One
plain request a connection.
"""
import os
import socket
import sys
import threading

port_file, log, http_port, connect_port = sys.argv[1:5]
lock = threading.Lock()


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


def serve(s):
    head = b""
    while b"\r\n\r\n" not in head:
        more = s.recv(65536)
        if not more:
            return
        head += more
    method, target, rest = head.split(b" ", 2)
    with lock, open(log, "a") as f:
        f.write("%s %s\n" % (method.decode(), target.decode()))
    if method == b"CONNECT":
        up = socket.create_connection(("127.0.0.1", int(connect_port)))
        s.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
    else:
        up = socket.create_connection(("127.0.0.1", int(http_port)))
        path = b"/" + target.split(b"/", 3)[3]
        rest = rest.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        up.sendall(b" ".join([method, path, rest]))
    threading.Thread(target=copy, args=(s, up), daemon=True).start()
    copy(up, s)


listener = socket.create_server(("127.0.0.1", 0))
with open(port_file + ".new", "w") as f:
    f.write("%d\n" % listener.getsockname()[1])
os.rename(port_file + ".new", port_file)
while True:
    conn, _ = listener.accept()
    threading.Thread(target=serve, args=(conn,), daemon=True).start()
