# SPDX-License-Identifier: Apache-2.0
"""A TLS server before a plain one.

tlsfront.py CERT KEY PLAIN-PORT PORT-FILE [tls1.0|redirect]
tls1.0: speaks nothing newer; redirect: answers all with 307 to plain HTTP.
"""
import os
import socket
import ssl
import sys
import threading

cert, key, plain, port_file = sys.argv[1:5]
mode = sys.argv[5] if len(sys.argv) > 5 else ""


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


def redirect(s):
    data = b""
    while b"\r\n\r\n" not in data:
        more = s.recv(65536)
        if not more:
            return
        data += more
    path = data.split(b" ")[1]
    s.sendall(
        b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:"
        + plain.encode() + path + b"\r\nContent-Length: 0\r\n"
        b"Connection: close\r\n\r\n"
    )


def serve(raw):
    try:
        s = context.wrap_socket(raw, server_side=True)
        if mode == "redirect":
            redirect(s)
            s.close()
            return
        up = socket.create_connection(("127.0.0.1", int(plain)))
    except (OSError, ValueError):
        raw.close()
        return
    threading.Thread(target=copy, args=(s, up), daemon=True).start()
    copy(up, s)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)
if mode == "tls1.0":
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1
listener = socket.create_server(("127.0.0.1", 0))
with open(port_file + ".new", "w") as f:
    f.write("%d\n" % listener.getsockname()[1])
os.rename(port_file + ".new", port_file)
while True:
    conn, _ = listener.accept()
    threading.Thread(target=serve, args=(conn,), daemon=True).start()
