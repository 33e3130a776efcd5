# SPDX-License-Identifier: Apache-2.0
"""A tiny S3 client for tests: any key as bytes, SigV4, no dependency.

s3.py ENDPOINT BUCKET make | put KEY FILE | put-tree DIR | delete KEY | list
                    | get KEY FILE | keys | uploads | empty
                    | put-sum KEY FILE crc32|crc32c|crc64nvme|sha1|sha256
"""
import base64
import hashlib
import hmac
import http.client
import os
import re
import sys
import time
import urllib.parse
import zlib

ACCESS = os.environ.get("AWS_ACCESS_KEY_ID", "tarn")
SECRET = os.environ.get("AWS_SECRET_ACCESS_KEY", "tarnsecret")
SAFE = "-_.~"


def signature(day, text):
    k = ("AWS4" + SECRET).encode()
    for part in (day, "us-east-1", "s3", "aws4_request"):
        k = hmac.new(k, part.encode(), hashlib.sha256).digest()
    return hmac.new(k, text.encode(), hashlib.sha256).hexdigest()


def crc(data, polynomial, bits):
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (polynomial if i & 1 else 0)
        table.append(i)
    r = ones = (1 << bits) - 1
    for b in data:
        r = r >> 8 ^ table[(r ^ b) & 255]
    return (r ^ ones).to_bytes(bits // 8, "big")


SUMS = {
    "crc32": lambda d: zlib.crc32(d).to_bytes(4, "big"),
    "crc32c": lambda d: crc(d, 0x82F63B78, 32),
    "crc64nvme": lambda d: crc(d, 0x9A6C9329AC4BC9B5, 64),
    "sha1": lambda d: hashlib.sha1(d).digest(),
    "sha256": lambda d: hashlib.sha256(d).digest(),
}


class S3:
    def __init__(self, endpoint, bucket):
        u = urllib.parse.urlsplit(endpoint)
        self.host = u.netloc
        self.bucket = bucket
        self.conn = http.client.HTTPConnection(u.hostname, u.port, timeout=60)

    def request(self, method, key=b"", query=(), body=b"", extra=None):
        """(status, headers, body); key and query values are bytes (None: sent
        without a `=`), extra is more headers by their lower-case names."""
        path = "/" + self.bucket
        if key:
            path += "/" + urllib.parse.quote(key, safe=SAFE + "/")
        q = "&".join(
            sorted(
                urllib.parse.quote(k, safe=SAFE)
                + "="
                + urllib.parse.quote(v or b"", safe=SAFE)
                for k, v in query
            )
        )
        sent = "&".join(
            urllib.parse.quote(k, safe=SAFE)
            + ("" if v is None else "=" + urllib.parse.quote(v, safe=SAFE))
            for k, v in query
        )
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        day = now[:8]
        headers = {"host": self.host, "x-amz-date": now,
                   "x-amz-content-sha256": hashlib.sha256(body).hexdigest(),
                   **(extra or {})}
        sha = headers["x-amz-content-sha256"]
        signed = ";".join(sorted(headers))
        canonical = "\n".join(
            [method, path, q]
            + [n + ":" + headers[n] for n in sorted(headers)]
            + ["", signed, sha]
        )
        scope = day + "/us-east-1/s3/aws4_request"
        text = "\n".join(
            [
                "AWS4-HMAC-SHA256",
                now,
                scope,
                hashlib.sha256(canonical.encode()).hexdigest(),
            ]
        )
        sig = signature(day, text)
        self.conn.request(
            method,
            path + ("?" + sent if sent else ""),
            body=body,
            headers={
                **headers,
                "Content-Length": str(len(body)),
                "Authorization": "AWS4-HMAC-SHA256 Credential=%s/%s, "
                "SignedHeaders=%s, Signature=%s" % (ACCESS, scope, signed, sig),
            },
        )
        r = self.conn.getresponse()
        return r.status, r.headers, r.read()

    def presign(self, key=b"", query=(), method="GET"):
        """A request that is signed in its query, good for an hour."""
        path = "/" + self.bucket
        if key:
            path += "/" + urllib.parse.quote(key, safe=SAFE + "/")
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        scope = now[:8] + "/us-east-1/s3/aws4_request"
        q = "&".join(
            sorted(
                urllib.parse.quote(k, safe=SAFE)
                + "="
                + urllib.parse.quote(v, safe=SAFE)
                for k, v in list(query)
                + [
                    ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
                    ("X-Amz-Credential", ACCESS + "/" + scope),
                    ("X-Amz-Date", now),
                    ("X-Amz-Expires", "3600"),
                    ("X-Amz-SignedHeaders", "host"),
                ]
            )
        )
        canonical = "\n".join(
            [method, path, q, "host:" + self.host, "", "host", "UNSIGNED-PAYLOAD"]
        )
        text = "\n".join(
            [
                "AWS4-HMAC-SHA256",
                now,
                scope,
                hashlib.sha256(canonical.encode()).hexdigest(),
            ]
        )
        return "http://%s%s?%s&X-Amz-Signature=%s" % (
            self.host,
            path,
            q,
            signature(now[:8], text),
        )

    def must(self, *args, **kw):
        status, headers, body = self.request(*args, **kw)
        if status >= 300:
            raise SystemExit("s3.py: %r: %d %r" % (args[:2], status, body[:300]))
        return headers, body


def main():
    s = S3(sys.argv[1], sys.argv[2])
    cmd, args = sys.argv[3], [os.fsencode(a) for a in sys.argv[4:]]
    if cmd == "make":
        s.must("PUT")
    elif cmd == "put":
        with open(args[1], "rb") as f:
            s.must("PUT", args[0], body=f.read())
    elif cmd == "put-sum":
        with open(args[1], "rb") as f:
            data = f.read()
        name = os.fsdecode(args[2])
        s.must("PUT", args[0], body=data, extra={
            "x-amz-checksum-" + name:
            base64.b64encode(SUMS[name](data)).decode()})
    elif cmd == "put-tree":
        for where, _, names in os.walk(args[0]):
            for n in sorted(names):
                path = os.path.join(where, n)
                with open(path, "rb") as f:
                    s.must("PUT", os.path.relpath(path, args[0]), body=f.read())
    elif cmd == "delete":
        s.must("DELETE", args[0])
    elif cmd == "get":
        body = s.must("GET", args[0])[1]
        with open(args[1], "wb") as f:
            f.write(body)
    elif cmd in ("keys", "uploads"):
        # A thousand at most.
        what = "list-type" if cmd == "keys" else "uploads"
        body = s.must("GET", query=[(what, b"2" if cmd == "keys" else b""),
                                    ("encoding-type", b"url")])[1]
        for key in re.findall(rb"<Key>([^<]*)</Key>", body):
            print(key.decode())
    elif cmd == "empty":
        body = s.must("GET", query=[("list-type", b"2"),
                                    ("encoding-type", b"url")])[1]
        for key in re.findall(rb"<Key>([^<]*)</Key>", body):
            s.must("DELETE", urllib.parse.unquote_to_bytes(key))
    elif cmd == "list":
        sys.stdout.write(s.must("GET", query=[("list-type", b"2")])[1].decode())
    else:
        raise SystemExit("s3.py: no command " + cmd)


if __name__ == "__main__":
    main()
