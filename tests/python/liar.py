# SPDX-License-Identifier: Apache-2.0
"""Stand in for a worker that lies, or is overloaded: a proxy before a true one.

liar.py WORKER MODE-FILE COUNT-FILE READY-FILE
Listens on a port of loopback, which it writes to READY-FILE, and hands each
request to WORKER (host:port) as it came, signature and all. What the file
MODE-FILE says is done to the answers of a GET of an object, or to all:
  true       nothing
  flip       one bit of the body is another
  cut        the body and what is said of it are a page short
  end        the body is half of what is said of it
  version    another ETag
  size       another size of the object
  sums       other checksums of the pages
  range      another range, as the answer says
  busy       503 and Retry-After, to all
COUNT-FILE gets a line for each request: method and target.
"""
import base64
import http.client
import http.server
import os
import re
import sys
import threading

worker, mode_file, count_file, ready_file = sys.argv[1:]
PAGE = 65536
lock = threading.Lock()
HOP = {"connection", "keep-alive", "transfer-encoding"}


def flip(data, at):
    data = bytearray(data)
    data[at] ^= 0x10
    return bytes(data)


def other_sums(value):
    seed, first, words = value.split(" ")
    return "%s %s %s" % (seed, first, base64.b64encode(
        flip(base64.b64decode(words), 0)).decode())


class Liar(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def ask(self, extra):
        c = http.client.HTTPConnection(worker, timeout=60)
        c.putrequest(self.command, self.path, skip_host=True,
                     skip_accept_encoding=True)
        for name, value in self.headers.items():
            c.putheader(name, extra.get(name.lower(), value))
        c.endheaders()
        answer = c.getresponse()
        body = answer.read()
        c.close()
        return answer.status, dict(
            (k.lower(), v) for k, v in answer.getheaders()), body

    def handle_one(self):
        mode = open(mode_file).read().strip()
        with lock, open(count_file, "a") as f:
            f.write("%s %s\n" % (self.command, self.path))
        if mode == "busy":
            self.send_response(503)
            self.send_header("x-tarn-protocol", "1")
            self.send_header("Retry-After", "1")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        extra = {}
        is_get = self.command == "GET" and "list-type" not in self.path
        m = re.match(r"bytes=(\d+)-(\d+)$", self.headers.get("Range", ""))
        if is_get and mode == "range" and m:
            extra["range"] = "bytes=%d-%d" % (int(m[1]) + PAGE, int(m[2]) + PAGE)
        status, head, body = self.ask(extra)
        if is_get and status in (200, 206) and mode != "true":
            body = self.lie(mode, head, body)
        self.send_response_only(status)
        for name, value in head.items():
            if name not in HOP:
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        if mode == "end":
            self.close_connection = True

    def lie(self, mode, head, body):
        if mode == "flip":
            return flip(body, len(body) // 2)
        if mode == "end":
            return body[: len(body) // 2]
        if mode == "cut":
            body = body[: max(len(body) - PAGE, 1)]
            head["content-length"] = str(len(body))
        elif mode == "version":
            head["etag"] = '"%s"' % head["etag"].strip('"')[::-1]
        elif mode == "size" and "content-range" in head:
            where, size = head["content-range"].split("/")
            head["content-range"] = "%s/%d" % (where, int(size) + PAGE)
        elif mode == "sums" and "x-tarn-pages" in head:
            head["x-tarn-pages"] = other_sums(head["x-tarn-pages"])
        elif mode == "sums":
            body = flip(body, 0)
        return body

    do_GET = do_HEAD = handle_one


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Liar)
server.daemon_threads = True
with open(ready_file + ".new", "w") as f:
    f.write("%d\n" % server.server_address[1])
os.rename(ready_file + ".new", ready_file)
server.serve_forever()
