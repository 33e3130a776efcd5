# SPDX-License-Identifier: Apache-2.0
"""STS, SSO, a container's endpoint and EC2's metadata, as AWS documents them.

awssim.py [HOST [PORT]]   prints its port and serves until its stdin ends

Each grant is a new set of keys, NAME1, NAME2..., which is made known to objsim
(at /_sim/key) before it is handed out. What has no right to keys gets none: a
wrong SigV4 signature, web identity, bearer or container token, and metadata
asked for without its own token (IMDSv2) or by way of a proxy.

POST /_aws/set?NAME=VALUE...
  sim        URL of objsim, where grants are made known
  life       seconds that a grant lasts (3600); uses: and how many requests
  secret     what secrets and tokens begin with ("secret")
  base       ACCESS:SECRET[:TOKEN] that may assume roles, may be repeated
  identity   file with the right web identity token
  pod        file with the right container token ("" = none is asked for)
  bearer     the right token of SSO
  fail       "" or what is wrong: a status, "garbage", "hang", "redirect"
  delay_ms   before each answer
GET /_aws/grants, /_aws/calls[?of=sts|sso|container|imds]   how many
"""
import hashlib
import hmac
import http.server
import json
import os
import re
import sys
import threading
import time
import urllib.parse
import urllib.request

lock = threading.Lock()
conf = {
    "sim": "",
    "life": "3600",
    "uses": "-1",
    "secret": "secret",
    "name": "AWSSIM",
    "base": ["tarn:tarnsecret"],
    "identity": "",
    "pod": "",
    "bearer": "",
    "fail": "",
    "delay_ms": "0",
}
grants = 0
calls = {}
imds_tokens = set()
released = threading.Event()


def grant():
    """Keys that objsim takes, as (access, secret, token, expiry)."""
    global grants
    with lock:
        grants += 1
        n = grants
    keys = (
        "%s%d" % (conf["name"], n),
        "%s/key+%d" % (conf["secret"], n),
        "%s//token+%d==" % (conf["secret"], n),
    )
    if conf["sim"]:
        q = urllib.parse.urlencode(
            {
                "access": keys[0],
                "secret": keys[1],
                "token": keys[2],
                "uses": conf["uses"],
            }
        )
        urllib.request.urlopen(conf["sim"] + "/_sim/key?" + q, b"").read()
        # It may assume roles, too.
        with lock:
            conf["base"].append(":".join(keys))
    until = time.time() + float(conf["life"])
    return keys + (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until)), until)


def signed_by(request, body):
    """The access key of a right signature for STS, or the error's code."""
    h = request.headers
    m = re.match(
        r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/sts/aws4_request,"
        r"\s*SignedHeaders=([^,]+),\s*Signature=([0-9a-f]{64})$",
        h.get("Authorization", ""),
    )
    if not m:
        return None, "MissingAuthenticationToken"
    access, day, region, names, signature = m.groups()
    for b in conf["base"]:
        known = b.split(":")
        if known[0] == access:
            break
    else:
        return None, "InvalidClientTokenId"
    if len(known) > 2 and h.get("x-amz-security-token") != known[2]:
        return None, "InvalidClientTokenId"
    if not {"host", "x-amz-date"} <= set(names.split(";")):
        return None, "IncompleteSignature"
    canonical = "\n".join(
        ["POST", request.path, ""]
        + ["%s:%s" % (n, h.get(n, "").strip()) for n in names.split(";")]
        + ["", names, hashlib.sha256(body).hexdigest()]
    )
    scope = "%s/%s/sts/aws4_request" % (day, region)
    text = "\n".join(
        [
            "AWS4-HMAC-SHA256",
            h.get("x-amz-date", ""),
            scope,
            hashlib.sha256(canonical.encode()).hexdigest(),
        ]
    )
    k = ("AWS4" + known[1]).encode()
    for part in (day, region, "sts", "aws4_request"):
        k = hmac.new(k, part.encode(), hashlib.sha256).digest()
    if hmac.new(k, text.encode(), hashlib.sha256).hexdigest() != signature:
        return None, "SignatureDoesNotMatch"
    return access, None


def first_line(path):
    with open(path) as f:
        return f.read().rstrip("\n")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body="", headers=()):
        data = body.encode()
        self.send_response(status)
        for k, v in headers:
            self.send_header(k, v)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def failed(self, of):
        """True when this request was answered as `fail` says."""
        with lock:
            calls[of] = calls.get(of, 0) + 1
        time.sleep(int(conf["delay_ms"]) / 1000)
        fail = conf["fail"]
        if fail == "":
            return False
        if fail == "hang":
            released.wait(60)
            self.close_connection = True
        elif fail == "garbage":
            self.answer(200, "<html>{%s" % conf["secret"])
        elif fail == "redirect":
            where = "http://%s/_aws/trap" % self.headers["Host"]
            self.answer(302, "", [("Location", where)])
        else:
            # An endpoint that repeats what it was told must not be quoted.
            heard = " ".join([conf["secret"]] + list(self.headers.values()))
            self.answer(int(fail), "<Error><Message>%s</Message></Error>" % heard)
        return True

    def sts_error(self, status, code):
        self.answer(
            status,
            "<ErrorResponse xmlns='https://sts.amazonaws.com/doc/2011-06-15/'>"
            "<Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message>"
            "</Error><RequestId>1</RequestId></ErrorResponse>"
            % (code, conf["secret"]),
        )

    def sts(self, body):
        q = dict(urllib.parse.parse_qsl(body.decode(), strict_parsing=True))
        action = q.get("Action")
        if q.get("Version") != "2011-06-15" or not q.get("RoleSessionName"):
            return self.sts_error(400, "ValidationError")
        if not q.get("RoleArn", "").startswith("arn:aws:iam::"):
            return self.sts_error(400, "ValidationError")
        if action == "AssumeRoleWithWebIdentity":
            if q.get("WebIdentityToken") != first_line(conf["identity"]):
                return self.sts_error(400, "InvalidIdentityToken")
        elif action == "AssumeRole":
            _, code = signed_by(self, body)
            if code:
                return self.sts_error(403, code)
        else:
            return self.sts_error(400, "InvalidAction")
        access, secret, token, expires, _ = grant()
        self.answer(
            200,
            "<{0}Response xmlns='https://sts.amazonaws.com/doc/2011-06-15/'>"
            "<{0}Result><AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/r/s"
            "</Arn></AssumedRoleUser><Credentials><AccessKeyId>{1}"
            "</AccessKeyId><SecretAccessKey>{2}</SecretAccessKey>"
            "<SessionToken>{3}</SessionToken><Expiration>{4}</Expiration>"
            "</Credentials></{0}Result></{0}Response>".format(
                action, access, secret, token, expires
            ),
        )

    def keys_json(self, **more):
        access, secret, token, expires, _ = grant()
        more.update(
            AccessKeyId=access,
            SecretAccessKey=secret,
            Token=token,
            Expiration=expires,
        )
        self.answer(200, json.dumps(more))

    def sso(self):
        if self.headers.get("x-amz-sso_bearer_token") != conf["bearer"]:
            return self.answer(401, '{"message": "Session token not found"}')
        access, secret, token, _, until = grant()
        self.answer(
            200,
            json.dumps(
                {
                    "roleCredentials": {
                        "accessKeyId": access,
                        "secretAccessKey": secret,
                        "sessionToken": token,
                        "expiration": int(until * 1000),
                    }
                }
            ),
        )

    def container(self):
        if conf["pod"]:
            if self.headers.get("Authorization") != first_line(conf["pod"]):
                return self.answer(401, '{"code": "%s"}' % conf["secret"])
        self.keys_json(RoleArn="arn:aws:iam::1:role/task")

    def imds(self, method, path):
        if "X-Forwarded-For" in self.headers:
            return self.answer(403)
        if method == "PUT" and path == "/latest/api/token":
            ttl = self.headers.get("x-aws-ec2-metadata-token-ttl-seconds", "")
            if not ttl.isdigit() or not 1 <= int(ttl) <= 21600:
                return self.answer(400)
            token = "%s-imds-%d" % (conf["secret"], len(imds_tokens))
            imds_tokens.add(token)
            return self.answer(200, token)
        if self.headers.get("x-aws-ec2-metadata-token") not in imds_tokens:
            return self.answer(401)
        roles = "/latest/meta-data/iam/security-credentials/"
        if method == "GET" and path == roles:
            return self.answer(200, "node-role")
        if method == "GET" and path == roles + "node-role":
            return self.keys_json(Code="Success", Type="AWS-HMAC")
        self.answer(404)

    def control(self, what, query):
        if what == "set":
            for name, value in urllib.parse.parse_qsl(query, True):
                if name == "base":
                    conf["base"].append(value)
                elif name in conf:
                    conf[name] = value
                else:
                    return self.answer(400, "no setting " + name)
            return self.answer(200)
        of = dict(urllib.parse.parse_qsl(query)).get("of")
        if what == "grants":
            n = grants
        elif what == "calls":
            n = sum(v for k, v in calls.items() if of in (None, k))
        else:
            n = calls[what] = calls.get(what, 0) + 1
        self.answer(200, "%d\n" % n)

    def serve(self):
        method, u = self.command, urllib.parse.urlsplit(self.path)
        length = int(self.headers.get("Content-Length", "0"))
        body = self.rfile.read(length) if length else b""
        if u.path.startswith("/_aws/"):
            return self.control(u.path[6:], u.query)
        of = (
            "imds"
            if u.path.startswith("/latest/")
            else "sso"
            if u.path == "/federation/credentials"
            else "sts"
            if method == "POST"
            else "container"
        )
        if self.failed(of):
            return
        if of == "imds":
            self.imds(method, u.path)
        elif of == "sso":
            self.sso()
        elif of == "sts":
            self.sts(body)
        else:
            self.container()

    do_GET = do_POST = do_PUT = do_HEAD = serve


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


def main():
    host = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1"
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    s = Server((host, port), Handler)
    threading.Thread(target=s.serve_forever, daemon=True).start()
    print(s.server_address[1], flush=True)
    while os.read(0, 64):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
