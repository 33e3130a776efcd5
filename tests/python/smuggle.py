# SPDX-License-Identifier: Apache-2.0
"""What a front proxy and a worker might read differently.

smuggle.py HOST:PORT PATH: PATH answers 200. Each script must be refused (no
2xx at all, and nothing behind it is read as a request), or, where RFC 9112
lets a server be lenient, be read as one request. Prints what is wrong.
"""
import socket
import sys

host, port = sys.argv[1].rsplit(":", 1)
path = sys.argv[2].encode()
LINE = b"GET " + path + b" HTTP/1.1\r\n"
HEAD = LINE + b"Host: x\r\n"
NEXT = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /-/load HTTP/1.1\r\nHost: x\r\n"
PUT = b"PUT " + path + b" HTTP/1.1\r\nHost: x\r\n"
CHUNKS = b"0\r\n\r\n"
TE = b"Transfer-Encoding"
CL = b"Content-Length"


def headers(*lines):
    return HEAD + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


refused = {
    "TE": headers(TE + b": chunked") + CHUNKS + NEXT,
    "TE and CL": headers(CL + b": 5", TE + b": chunked") + CHUNKS + NEXT,
    "CL and TE": headers(TE + b": chunked", CL + b": 5") + CHUNKS + NEXT,
    "TE twice": headers(TE + b": chunked", TE + b": x") + CHUNKS + NEXT,
    "TE identity": headers(TE + b": identity") + NEXT,
    "TE identity, CL": headers(TE + b": identity", CL + b": 3") + b"abc" + NEXT,
    "TE xchunked": headers(TE + b": xchunked") + CHUNKS + NEXT,
    "TE chunked, identity": headers(TE + b": chunked, identity") + NEXT,
    "TE empty": headers(TE + b":") + NEXT,
    "TE in capitals": headers(TE.upper() + b": CHUNKED") + CHUNKS + NEXT,
    "TE with a tab": headers(TE + b":\tchunked") + CHUNKS + NEXT,
    "TE with VT": headers(TE + b": \x0bchunked") + CHUNKS + NEXT,
    "TE, space before the colon": headers(TE + b" : chunked") + CHUNKS + NEXT,
    "TE, tab before the colon": headers(TE + b"\t: chunked") + CHUNKS + NEXT,
    "TE of HTTP/1.0": (b"GET " + path + b" HTTP/1.0\r\nHost: x\r\n" + TE
                       + b": chunked\r\n\r\n" + CHUNKS + NEXT),
    "TE of a POST": POST + TE + b": chunked\r\n\r\n5;a=b\r\nhello\r\n" + CHUNKS
    + NEXT,
    "TE of a PUT": PUT + TE + b": chunked\r\n\r\nzz\r\n" + NEXT,
    "chunk size +5": PUT + TE + b": chunked\r\n\r\n+5\r\nhello\r\n" + CHUNKS,
    "chunk size 0x5": PUT + TE + b": chunked\r\n\r\n0x5\r\nhello\r\n" + CHUNKS,
    "CL twice": headers(CL + b": 0", CL + b": 37") + NEXT,
    "CL twice the same": headers(CL + b": 37", CL + b": 37") + NEXT,
    "CL list": headers(CL + b": 0, 37") + NEXT,
    "CL 5,5": headers(CL + b": 5,5") + b"hello" + NEXT,
    "CL +0": headers(CL + b": +0") + NEXT,
    "CL -0": headers(CL + b": -0") + NEXT,
    "CL -1": headers(CL + b": -1") + NEXT,
    "CL 0x0": headers(CL + b": 0x0") + NEXT,
    "CL 0x5": headers(CL + b": 0x5") + b"hello" + NEXT,
    "CL 1e1": headers(CL + b": 1e1") + NEXT,
    "CL 5.0": headers(CL + b": 5.0") + b"hello" + NEXT,
    "CL 1 2": headers(CL + b": 1 2") + NEXT,
    "CL empty": headers(CL + b":") + NEXT,
    "CL of letters": headers(CL + b": abc") + NEXT,
    "CL 2^64": headers(CL + b": 18446744073709551616") + NEXT,
    "CL 2^64+37": headers(CL + b": 18446744073709551653") + NEXT,
    "CL 2^63": headers(CL + b": 9223372036854775808") + NEXT,
    "CL of a GET": headers(CL + b": 37") + NEXT,
    "CL, space before the colon": headers(CL + b" : 37") + NEXT,
    "CL in a fold": headers(b"X-A: b\r\n " + CL + b": 37", CL + b": 5") + NEXT,
    "two Hosts": headers(b"Host: y"),
    "no Host": LINE + b"\r\n",
    "space before a colon": headers(b"X-A : b"),
    "tab before a colon": headers(b"X-A\t: b"),
    "a name with a space": headers(b"X A: b"),
    "a name with a brace": headers(b"X{A: b"),
    "a name with a NUL": headers(b"X-\0A: b"),
    "a name with 0xff": headers(b"X-\xff: b"),
    "a line without colon": headers(b"foo"),
    "a fold at the first header": LINE + b" X: y\r\nHost: x\r\n\r\n",
    "a bare CR before CL": headers(b"X-A: b\r" + CL + b": 37") + NEXT,
    "a bare CR before TE": headers(b"X-A: b\r" + TE + b": chunked") + NEXT,
    "a bare LF before CL": headers(b"X-A: b\n" + CL + b": 37") + NEXT,
    "a bare LF before TE": headers(b"X-A: b\n" + TE + b": chunked") + NEXT,
    "a bare LF behind the line": LINE[:-2] + b"\nHost: x\r\nX-A: b\r\n\r\n",
    "a bare LF behind the first header": LINE + b"Host: x\nX-A: b\r\n\r\n",
    "a bare LF between headers": headers(b"X-A: b\nX-B: c", b"X-C: d"),
    "all lines end in LF": headers(b"X-A: b").replace(b"\r", b""),
    "a bare LF that begins a value": headers(b"X-A:\nX-B: c"),
    "a fold": headers(b"X-A: b\r\n c", b"X-B: d"),
    "a fold of the last header": headers(b"X-A: b\r\n\tc"),
    "a fold of nothing": headers(b"X-A: b\r\n ", b"X-B: d"),
    "a fold by LF": headers(b"X-A: b\n c", b"X-B: d"),
    "a NUL in a value": headers(b"X-A: b\0c", b"X-B: d"),
    "a NUL at a value's end": headers(b"X-A: b\0", b"X-B: d"),
    "a control byte in a value": headers(b"X-A: b\x01c"),
    "a DEL in a value": headers(b"X-A: b\x7fc"),
    "CR CR LF": headers(b"X-A: b\r"),
    "the absolute form": b"GET http://x" + path + b" HTTP/1.1\r\nHost: y\r\n\r\n",
    "the authority form": b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    "the asterisk form": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target without slash": b"GET x HTTP/1.1\r\nHost: x\r\n\r\n",
    "a fragment": b"GET " + path + b"#x HTTP/1.1\r\nHost: x\r\n\r\n",
    "a half escape": b"GET " + path + b"%2 HTTP/1.1\r\nHost: x\r\n\r\n",
    "raw UTF-8": b"GET " + path + b"\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a space in the target": b"GET " + path + b" x HTTP/1.1\r\nHost: x\r\n\r\n",
    "tabs for spaces": b"GET\t" + path + b"\tHTTP/1.1\r\nHost: x\r\n\r\n",
    "HTTP/0.9": b"GET " + path + b"\r\n\r\n",
    "HTTP/1.2": b"GET " + path + b" HTTP/1.2\r\nHost: x\r\n\r\n",
    "HTTP/2.0": b"GET " + path + b" HTTP/2.0\r\nHost: x\r\n\r\n",
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "get in small letters": b"get " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target of 1 MB": b"GET /" + b"a" * 1000000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "10000 headers": headers(*(b"X-%d: y" % i for i in range(10000))),
    "a header of 1 MB": headers(b"X: " + b"y" * 1000000),
}
one = {
    "plain": headers(),
    "CL 0": headers(CL + b": 0"),
    "odd spaces": headers(b"X-A:b", b"X-B:  \t c \t", b"X-C:", b"X-D: "),
    "many headers": headers(*(b"X-%d: " % i + b"y" * 400 for i in range(40))),
    "a line before it": b"\r\n" + headers(),
}


def ask(raw):
    """Statuses of the answers until the connection ends or is still."""
    # A shutdown in our direction would tell the worker that we have gone.
    out = b""
    with socket.create_connection((host, int(port)), 10) as s:
        try:
            s.sendall(raw)
            while True:
                got = s.recv(65536)
                if not got:
                    break
                out += got
                s.settimeout(0.5)
        except OSError:
            pass
    return [
        int(line[9:12]) for line in out.split(b"\n") if line.startswith(b"HTTP/1.")
    ]


wrong = 0
for name, raw in refused.items():
    got = ask(raw)
    # /smuggled answers 404 or 403: nothing but a refusal may be seen.
    if any(status not in (400, 405, 411, 413, 414, 431, 505) for status in got):
        print(name, got)
        wrong += 1
for name, raw in one.items():
    if ask(raw) != [200]:
        print(name, ask(raw))
        wrong += 1
print(len(refused) + len(one), "scripts")
sys.exit(wrong > 0)
