# SPDX-License-Identifier: Apache-2.0
"""objsim changes objects as S3 does, and fails to as its rules say.

simwrites.py ENDPOINT [PID]    of an objsim without buckets; with its number
what memory it needs is looked at as well
"""
import base64
import hashlib
import http.client
import json
import re
import sys
import urllib.error
import urllib.parse
import urllib.request

from s3 import S3, SUMS

SIM = sys.argv[1]
LARGE = 96 << 20
s = S3(SIM, "b")


def sim(what, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(SIM + "/_sim/" + what, data, timeout=60) as r:
        return r.read()


def b64(data):
    return base64.b64encode(data).decode()


def sum_of(name, data):
    return b64(SUMS[name](data))


def tag(data):
    return '"' + hashlib.md5(data).hexdigest() + '"'


def is_(got, wanted):
    if got != wanted:
        raise AssertionError("got %r, wanted %r" % (got, wanted))


def ask(method, key=b"", status=200, code=None, **kw):
    """(headers, body) of an answer that has to be this one."""
    got, headers, body = s.request(method, key, **kw)
    found = re.search(rb"<Code>(\w+)</Code>", body)
    is_((got, found and found.group(1).decode()), (status, code))
    return headers, body


def lost(*args, **kw):
    """A request whose answer never comes."""
    try:
        got = s.request(*args, **kw)
    except (ConnectionError, http.client.HTTPException):
        s.conn.close()
        return
    raise AssertionError("an answer: %r" % (got,))


def stored(key):
    try:
        return sim("get?bucket=b&key=" + key)
    except urllib.error.HTTPError:
        return None


def head(key):
    return json.loads(sim("head?bucket=b&key=" + key))


def element(body, name):
    return re.search(b"<%b>([^<]*)</%b>" % (name, name), body).group(1).decode()


def rule(**kw):
    sim("clear", {})
    sim("rules", {"name": "r", **kw})


def fired():
    is_(sim("fired?rule=r"), b"1\n")
    sim("clear", {})


def begin(key, **extra):
    body = ask("POST", key, query=[(b"uploads", None)],
               extra={k.replace("_", "-"): v for k, v in extra.items()})[1]
    return element(body, b"UploadId").encode()


def part(key, up, number, data, status=200, code=None, **extra):
    h, _ = ask("PUT", key, status, code, body=data,
               query=[(b"partNumber", b"%d" % number), (b"uploadId", up)],
               extra={k.replace("_", "-"): v for k, v in extra.items()})
    return h


def listing(parts):
    """parts: (number, etag) or (number, etag, element, checksum)"""
    text = "".join(
        "<Part><ETag>%s</ETag><PartNumber>%d</PartNumber>%s</Part>"
        % (p[1].replace('"', "&quot;"), p[0],
           "<%s>%s</%s>" % (p[2], p[3], p[2]) if len(p) > 2 else "")
        for p in parts)
    return ("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/"
            "2006-03-01/\">%s</CompleteMultipartUpload>" % text).encode()


def complete(key, up, parts, status=200, code=None, **extra):
    return ask("POST", key, status, code, body=listing(parts),
               query=[(b"uploadId", up)],
               extra={k.replace("_", "-"): v for k, v in extra.items()})


def tag_of_parts(*parts):
    all_ = b"".join(hashlib.md5(p).digest() for p in parts)
    return '"%s-%d"' % (hashlib.md5(all_).hexdigest(), len(parts))


def puts_are_bound_to_what_is_there():
    is_(ask("PUT", b"k", body=b"one", extra={"if-none-match": "*"})[0]["ETag"],
        tag(b"one"))
    ask("PUT", b"k", 412, "PreconditionFailed", body=b"x",
        extra={"if-none-match": "*"})
    ask("PUT", b"k", 412, "PreconditionFailed", body=b"x",
        extra={"if-match": tag(b"other")})
    ask("PUT", b"none", 404, "NoSuchKey", body=b"x",
        extra={"if-match": tag(b"one")})
    ask("PUT", b"k", 501, "NotImplemented", body=b"x",
        extra={"if-none-match": tag(b"one")})
    is_(stored("k"), b"one")
    ask("PUT", b"k", body=b"two", extra={"if-match": tag(b"one")})
    is_(stored("k"), b"two")
    sim("settings", {"conditions": False})
    ask("PUT", b"k", body=b"three", extra={"if-none-match": "*"})
    sim("settings", {"conditions": True})
    is_(stored("k"), b"three")
    S3(SIM, "none").request("PUT", b"k", body=b"x")


def deletes_are_bound_too():
    ask("PUT", b"d", body=b"one")
    ask("DELETE", b"d", 412, "PreconditionFailed",
        extra={"if-match": tag(b"two")})
    is_(stored("d"), b"one")
    ask("DELETE", b"d", 204, extra={"if-match": tag(b"one")})
    is_(stored("d"), None)
    ask("DELETE", b"d", 204)
    ask("DELETE", b"d", 404, "NoSuchKey", extra={"if-match": tag(b"one")})


def checksums_are_compared_echoed_and_kept():
    data = bytes(range(256)) * 9 + b"tail"
    for name in SUMS:
        header, text = "x-amz-checksum-" + name, sum_of(name, data)
        h, _ = ask("PUT", b"c", body=data, extra={header: text})
        is_((h[header], h["x-amz-checksum-type"]), (text, "FULL_OBJECT"))
        h, _ = ask("HEAD", b"c", extra={"x-amz-checksum-mode": "ENABLED"})
        is_(h[header], text)
        ask("PUT", b"c", 400, "BadDigest", body=data,
            extra={header: sum_of(name, b"other")})
        for bad in ("", "AAAA", "!" * len(text), text + text):
            ask("PUT", b"c", 400, "InvalidRequest", body=data,
                extra={header: bad})
    md5 = b64(hashlib.md5(data).digest())
    ask("PUT", b"c", body=data, extra={"content-md5": md5})
    ask("PUT", b"c", 400, "BadDigest", body=data + b"x",
        extra={"content-md5": md5})
    ask("PUT", b"c", 400, "InvalidDigest", body=data,
        extra={"content-md5": "x"})
    ask("PUT", b"c", 400, "InvalidRequest", body=data,
        extra={"x-amz-checksum-crc32": sum_of("crc32", data),
               "x-amz-checksum-sha256": sum_of("sha256", data)})
    ask("PUT", b"c", 400, "InvalidRequest", body=data,
        extra={"x-amz-sdk-checksum-algorithm": "CRC32"})
    is_(stored("c"), data)
    is_(head("c")["checksum"], "")


def bodies_are_signed_or_not():
    ask("PUT", b"u", body=b"one",
        extra={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
    ask("PUT", b"u", 400, "XAmzContentSHA256Mismatch", body=b"one",
        extra={"x-amz-content-sha256": hashlib.sha256(b"two").hexdigest()})
    for text, status, code in ((b"abc", 200, None), (b"abd", 400, "BadDigest")):
        body = (b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:"
                + sum_of("crc32", text).encode() + b"\r\n\r\n")
        ask("PUT", b"u", status, code, body=body,
            extra={"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
                   "content-encoding": "aws-chunked",
                   "x-amz-decoded-content-length": "3",
                   "x-amz-trailer": "x-amz-checksum-crc32",
                   "x-amz-sdk-checksum-algorithm": "CRC32"})
    is_(stored("u"), b"abc")
    is_((head("u")["checksum"], head("u")["encoding"]), ("crc32", ""))


def what_is_said_of_an_object_is_kept():
    ask("PUT", b"m", body=b"x",
        extra={"x-amz-meta-a": "1", "content-type": "text/x",
               "x-amz-storage-class": "STANDARD_IA"})
    h, _ = ask("GET", b"m")
    is_((h["x-amz-meta-a"], h["Content-Type"], h["x-amz-storage-class"]),
        ("1", "text/x", "STANDARD_IA"))
    ask("PUT", b"m2", extra={"x-amz-copy-source": "/b/m"})
    is_(ask("HEAD", b"m2")[0]["x-amz-meta-a"], "1")


def copies_are_of_the_version_that_was_named():
    data = b"copied" * 100
    ask("PUT", b"from + \xc3\xa4", body=data,
        extra={"x-amz-checksum-crc64nvme": sum_of("crc64nvme", data)})
    source = "/b/" + urllib.parse.quote(b"from + \xc3\xa4")
    _, body = ask("PUT", b"to", extra={
        "x-amz-copy-source": source,
        "x-amz-copy-source-if-match": tag(data)})
    is_(element(body, b"ETag"), tag(data))
    is_(element(body, b"ChecksumCRC64NVME"), sum_of("crc64nvme", data))
    is_(stored("to"), data)
    ask("PUT", b"from + \xc3\xa4", body=b"new")
    is_(stored("to"), data)
    ask("PUT", b"to", 412, "PreconditionFailed", extra={
        "x-amz-copy-source": source,
        "x-amz-copy-source-if-match": tag(data)})
    ask("PUT", b"to", 404, "NoSuchKey", extra={"x-amz-copy-source": "b/none"})
    ask("PUT", b"to", 404, "NoSuchBucket", extra={"x-amz-copy-source": "x/k"})
    ask("PUT", b"to", 400, "InvalidArgument", extra={"x-amz-copy-source": "x"})
    ask("PUT", b"to", 400, "InvalidRequest", extra={"x-amz-copy-source": "b/to"})
    ask("PUT", b"to", 412, "PreconditionFailed", extra={
        "x-amz-copy-source": source, "if-none-match": "*"})
    is_(stored("to"), data)
    sim("settings", {"copy_conditions": False})
    ask("PUT", b"to", extra={"x-amz-copy-source": source, "if-none-match": "*"})
    sim("settings", {"copy_conditions": True})
    is_(stored("to"), b"new")
    # Of a copy's copy, of what no memory holds, and what is larger than may be.
    sim("put?bucket=b&key=made&size=1000000000000&seed=3", {})
    ask("PUT", b"to", 400, "InvalidRequest", extra={"x-amz-copy-source": "b/made"})
    is_(json.loads(sim("journal?op=COPY&key=to"))[0]["source"], source)


def parts_become_an_object():
    one, two, three = b"1" * 3000, b"2" * 2000, b"3"
    sim("settings", {"part_least": 2000})
    up = begin(b"p/o")
    is_(sim("uploads?bucket=b"), b"1\n")
    is_(part(b"p/o", up, 5, three)["ETag"], tag(three))
    part(b"p/o", up, 2, b"overwritten")
    part(b"p/o", up, 2, two)
    part(b"p/o", up, 1, one)
    _, body = ask("GET", b"p/o", query=[(b"uploadId", up)])
    is_(re.findall(b"<PartNumber>(.)", body), [b"1", b"2", b"5"])
    all_ = [(1, tag(one)), (2, tag(two)), (5, tag(three))]
    complete(b"p/o", up, all_[::-1], 400, "InvalidPartOrder")
    complete(b"p/o", up, all_[:1] * 2, 400, "InvalidPartOrder")
    complete(b"p/o", up, all_ + [(6, tag(b"x"))], 400, "InvalidPart")
    complete(b"p/o", up, [(1, tag(two))], 400, "InvalidPart")
    complete(b"p/o", up, [], 400, "MalformedXML")
    ask("POST", b"p/o", 400, "MalformedXML", body=b"<a>", query=[(b"uploadId", up)])
    complete(b"p/other", up, all_, 404, "NoSuchUpload")
    complete(b"p/o", up, all_, 404, "NoSuchKey", if_match=tag(b"x"))
    complete(b"p/o", up, all_, 400, "InvalidRequest", x_amz_mp_object_size="7")
    sim("settings", {"part_least": 2001})
    complete(b"p/o", up, all_, 400, "EntityTooSmall")
    sim("settings", {"part_least": 2000, "object_most": 5000})
    complete(b"p/o", up, all_, 400, "EntityTooLarge")
    sim("settings", {"object_most": 5 << 40})
    is_(stored("p/o"), None)
    _, body = complete(b"p/o", up, all_, if_none_match="*",
                       x_amz_mp_object_size="5001")
    is_(element(body, b"ETag"), tag_of_parts(one, two, three))
    is_(stored("p/o"), one + two + three)
    h, body = ask("GET", b"p/o", 206, extra={"range": "bytes=2999-3000"})
    is_((h["ETag"], body), (tag_of_parts(one, two, three), b"12"))
    complete(b"p/o", up, all_, 404, "NoSuchUpload")
    part(b"p/o", up, 1, one, 404, "NoSuchUpload")
    # A failed condition ends no upload.
    up = begin(b"p/o")
    part(b"p/o", up, 1, three)
    complete(b"p/o", up, [(1, tag(three))], 412, "PreconditionFailed",
             if_none_match="*")
    complete(b"p/o", up, [(1, tag(three))], if_match=tag_of_parts(one, two, three))
    is_(stored("p/o"), three)
    is_(sim("uploads"), b"0\n")


def parts_have_bounds():
    up = begin(b"l")
    sim("settings", {"parts_most": 3, "part_most": 10, "put_most": 20})
    for n in (0, 4):
        part(b"l", up, n, b"x", 400, "InvalidArgument")
    part(b"l", up, 3, b"x" * 10)
    part(b"l", up, 3, b"x" * 11, 400, "EntityTooLarge")
    ask("PUT", b"l", body=b"x" * 20)
    ask("PUT", b"l", 400, "EntityTooLarge", body=b"x" * 21)
    sim("settings", {"parts_most": 10000, "part_most": 5 << 30,
                     "put_most": 5 << 30})
    ask("DELETE", b"l", 204, query=[(b"uploadId", up)])
    ask("DELETE", b"l", 404, "NoSuchUpload", query=[(b"uploadId", up)])


def parts_are_copied():
    data = bytes(i * i % 251 for i in range(9000))
    ask("PUT", b"src", body=data)
    sim("settings", {"part_least": 1000})
    up = begin(b"pc", x_amz_checksum_algorithm="CRC32C")

    def copy(number, status=200, code=None, **extra):
        return ask("PUT", b"pc", status, code,
                   query=[(b"partNumber", b"%d" % number), (b"uploadId", up)],
                   extra={"x-amz-copy-source": "b/src",
                          **{k.replace("_", "-"): v for k, v in extra.items()}})[1]

    span = "x_amz_copy_source_range"
    body = copy(1, **{span: "bytes=100-4099",
                      "x_amz_copy_source_if_match": tag(data)})
    is_(element(body, b"ETag"), tag(data[100:4100]))
    first = element(body, b"ChecksumCRC32C")
    is_(first, sum_of("crc32c", data[100:4100]))
    second = element(copy(2), b"ChecksumCRC32C")
    copy(3, 412, "PreconditionFailed",
         x_amz_copy_source_if_match=tag(b"other"))
    for bad in ("bytes=0-9000", "bytes=5-", "bytes=-5", "5-6", "bytes=9000-9001"):
        copy(3, 400, "InvalidArgument", **{span: bad})
    ask("DELETE", b"src", 204)
    parts = [(1, tag(data[100:4100]), "ChecksumCRC32C", first),
             (2, tag(data), "ChecksumCRC32C", second)]
    complete(b"pc", up, [p[:2] for p in parts], 400, "InvalidRequest")
    _, body = complete(b"pc", up, parts)
    is_(element(body, b"ChecksumType"), "COMPOSITE")
    both = SUMS["crc32c"](data[100:4100]) + SUMS["crc32c"](data)
    is_(element(body, b"ChecksumCRC32C"), sum_of("crc32c", both) + "-2")
    is_(stored("pc"), data[100:4100] + data)
    # Of something that is itself put together, across its seam.
    up = begin(b"pc2")
    ask("PUT", b"pc2", query=[(b"partNumber", b"1"), (b"uploadId", up)],
        extra={"x-amz-copy-source": "b/pc",
               "x-amz-copy-source-range": "bytes=3990-4009"})
    want = data[4090:4100] + data[:10]
    complete(b"pc2", up, [(1, tag(want))])
    is_(stored("pc2"), want)


def whole_checksums_of_parts():
    one, two = b"a" * 1500, b"b" * 700
    sim("settings", {"part_least": 1000})
    for name, type_ in (("crc64nvme", None), ("crc32", "FULL_OBJECT")):
        header = "x_amz_checksum_" + name
        asked = {"x_amz_checksum_algorithm": name.upper()}
        if type_:
            asked["x_amz_checksum_type"] = type_
        up = begin(b"w", **asked)
        part(b"w", up, 1, one, 400, "InvalidRequest")
        part(b"w", up, 1, one, 400, "InvalidRequest",
             x_amz_checksum_sha256=sum_of("sha256", one))
        part(b"w", up, 1, one, 400, "BadDigest", **{header: sum_of(name, two)})
        h = part(b"w", up, 1, one, **{header: sum_of(name, one)})
        is_(h["x-amz-checksum-" + name], sum_of(name, one))
        part(b"w", up, 2, two, **{header: sum_of(name, two)})
        parts = [(1, tag(one)), (2, tag(two))]
        complete(b"w", up, parts, 400, "BadDigest",
                 **{header: sum_of(name, one)})
        complete(b"w", up, parts, 400, "InvalidRequest",
                 x_amz_checksum_type="COMPOSITE")
        el = "Checksum" + name.upper()
        complete(b"w", up, [(1, tag(one), el, sum_of(name, two))], 400,
                 "InvalidPart")
        _, body = complete(b"w", up, parts, x_amz_checksum_type="FULL_OBJECT",
                           **{header: sum_of(name, one + two)})
        is_(element(body, el.encode()), sum_of(name, one + two))
        h, _ = ask("HEAD", b"w", extra={"x-amz-checksum-mode": "ENABLED"})
        is_((h["x-amz-checksum-" + name], h["x-amz-checksum-type"]),
            (sum_of(name, one + two), "FULL_OBJECT"))
    for bad in ({"x-amz-checksum-algorithm": "MD4"},
                {"x-amz-checksum-algorithm": "MD5"},
                {"x-amz-checksum-algorithm": "SHA256",
                 "x-amz-checksum-type": "FULL_OBJECT"},
                {"x-amz-checksum-algorithm": "CRC64NVME",
                 "x-amz-checksum-type": "COMPOSITE"},
                {"x-amz-checksum-type": "FULL_OBJECT"}):
        ask("POST", b"w", 400, "InvalidRequest", query=[(b"uploads", None)],
            extra=bad)
    is_(sim("uploads"), b"0\n")


def uploads_are_listed_in_pages():
    keys = [b"q/1", b"q/1", b"q/2 <&>", b"q/3", b"r/1"]
    ids = [begin(k) for k in keys]
    is_(sim("uploads?key=q/*"), b"4\n")
    got, marker = [], []
    for _ in range(9):
        _, body = ask("GET", query=[(b"uploads", None), (b"prefix", b"q/"),
                                    (b"max-uploads", b"1"),
                                    (b"encoding-type", b"url")] + marker)
        got += re.findall(b"<Key>(.*?)</Key><UploadId>(.*?)</UploadId>", body)
        if element(body, b"IsTruncated") == "false":
            break
        marker = [(b"key-marker", urllib.parse.unquote_to_bytes(
                      element(body, b"NextKeyMarker"))),
                  (b"upload-id-marker",
                   element(body, b"NextUploadIdMarker").encode())]
    is_([(urllib.parse.unquote_to_bytes(k), i) for k, i in got],
        list(zip(keys, ids))[:4])
    sim("abort?key=q/*", {})
    is_(sim("uploads"), b"1\n")
    part(b"q/1", ids[0], 1, b"x", 404, "NoSuchUpload")
    sim("abort", {})


def an_upload_may_be_ended_again_where_the_store_remembers():
    sim("settings", {"complete_again": True})
    up = begin(b"again")
    part(b"again", up, 1, b"x")
    first = complete(b"again", up, [(1, tag(b"x"))])[1]
    is_(complete(b"again", up, [(1, tag(b"x"))])[1], first)
    is_(sim("uploads"), b"0\n")
    part(b"again", up, 1, b"x", 404, "NoSuchUpload")
    sim("settings", {"complete_again": False})


def acknowledgements_are_lost():
    rule(op="PUT", apply=True, count=1)
    lost("PUT", b"lost", body=b"there")
    fired()
    is_(stored("lost"), b"there")
    rule(op="PUT", apply=True, status=503, count=1)
    ask("PUT", b"lost", 503, "InternalError", body=b"there too")
    fired()
    is_(stored("lost"), b"there too")
    rule(op="PUT", status=503, count=1)
    ask("PUT", b"lost", 503, "InternalError", body=b"not there")
    fired()
    rule(op="PUT", apply=False, count=1)
    ask("PUT", b"lost", body=b"a lie")
    fired()
    is_(stored("lost"), b"there too")
    rule(op="COPY", apply=True, count=1)
    lost("PUT", b"lost2", extra={"x-amz-copy-source": "b/lost"})
    fired()
    is_(stored("lost2"), b"there too")
    rule(op="DELETE", apply=True, count=1)
    lost("DELETE", b"lost2")
    fired()
    is_(stored("lost2"), None)
    rule(op="CREATE_UPLOAD", apply=True, count=1)
    lost("POST", b"lost", query=[(b"uploads", None)])
    fired()
    is_(sim("uploads"), b"1\n")
    sim("abort", {})


def complete_fails_in_a_200():
    up = begin(b"z")
    part(b"z", up, 1, b"x")
    parts = [(1, tag(b"x"))]
    rule(op="COMPLETE", status=200, code="SlowDown", count=1)
    complete(b"z", up, parts, 200, "SlowDown")
    fired()
    is_(stored("z"), None)
    rule(op="COMPLETE", spaces=10, after_bytes=35, then="fin", apply=False,
         status=200, body="<?xml version=\"1.0\"?><Error/>", count=1)
    lost("POST", b"z", body=listing(parts), query=[(b"uploadId", up)])
    fired()
    is_(stored("z"), None)
    rule(op="COMPLETE", spaces=100, after_bytes=60, then="rst", count=1)
    lost("POST", b"z", body=listing(parts), query=[(b"uploadId", up)])
    fired()
    is_(stored("z"), b"x")
    up = begin(b"z")
    part(b"z", up, 1, b"y")
    rule(op="COMPLETE", spaces=100, count=1)
    _, body = complete(b"z", up, [(1, tag(b"y"))])
    fired()
    is_(body.count(b" " * 100), 1)
    is_(body.startswith(b"<?xml"), True)
    is_(element(body, b"ETag"), tag_of_parts(b"y"))


def what_is_sent_may_be_spoilt():
    data = b"good" * 1000
    rule(op="PUT", corrupt=True, count=1)
    ask("PUT", b"bad", 400, "BadDigest", body=data,
        extra={"x-amz-checksum-crc64nvme": sum_of("crc64nvme", data)})
    fired()
    is_(stored("bad"), None)
    rule(op="PUT", corrupt=True, count=1)
    is_(ask("PUT", b"bad", body=data)[0]["ETag"] != tag(data), True)
    fired()
    up = begin(b"bad")
    rule(op="PART", part=2, corrupt=True, count=1)
    part(b"bad", up, 1, data, x_amz_checksum_crc32=sum_of("crc32", data))
    part(b"bad", up, 2, data, 400, "BadDigest",
         x_amz_checksum_crc32=sum_of("crc32", data))
    fired()
    part(b"bad", up, 2, data, x_amz_checksum_crc32=sum_of("crc32", data))
    sim("abort", {})


def what_is_sent_may_be_cut():
    data = b"x" * (8 << 20)
    sim("forget", {})
    rule(op="PUT", read_bytes=1000, count=1)
    lost("PUT", b"cut", body=data)
    fired()
    is_(sim("received?key=cut"), b"1000\n")
    rule(op="PUT", read_bytes=1000, read_then="answer", status=503,
         code="SlowDown", count=1)
    small = data[:100000]
    ask("PUT", b"cut", 503, "SlowDown", body=small)
    fired()
    s.conn.close()
    is_(stored("cut"), None)
    ask("PUT", b"cut", body=data)
    is_(sim("received?key=cut"), b"%d\n" % (2000 + len(data)))


def large_bodies_need_their_memory_once():
    def peak():
        if len(sys.argv) < 3:
            return 0
        with open("/proc/%s/status" % sys.argv[2]) as f:
            return int(re.search(r"VmHWM:\s*(\d+)", f.read()).group(1)) << 10

    sim("reset", {})
    ask("PUT")
    data = hashlib.sha256(b"x").digest() * (LARGE // 32)
    before = peak()
    h, _ = ask("PUT", b"large", body=data,
               extra={"x-amz-checksum-sha256": sum_of("sha256", data)})
    is_(h["ETag"], tag(data))
    # Nothing is held twice, whatever refers to it.
    ask("PUT", b"large2", extra={"x-amz-copy-source": "b/large"})
    up = begin(b"large3", x_amz_checksum_algorithm="CRC64NVME")
    for n in (1, 2):
        ask("PUT", b"large3", query=[(b"partNumber", b"%d" % n), (b"uploadId", up)],
            extra={"x-amz-copy-source": "b/large2"})
    complete(b"large3", up, [(1, tag(data)), (2, tag(data))])
    is_(peak() - before < 2 * LARGE, True)
    is_(head("large3")["size"], 2 * LARGE)
    is_(hashlib.sha256(stored("large3")).digest(),
        hashlib.sha256(data + data).digest())


def main():
    ask("PUT")
    for check in (
            puts_are_bound_to_what_is_there,
            deletes_are_bound_too,
            checksums_are_compared_echoed_and_kept,
            bodies_are_signed_or_not,
            what_is_said_of_an_object_is_kept,
            copies_are_of_the_version_that_was_named,
            parts_become_an_object,
            parts_have_bounds,
            parts_are_copied,
            whole_checksums_of_parts,
            uploads_are_listed_in_pages,
            an_upload_may_be_ended_again_where_the_store_remembers,
            acknowledgements_are_lost,
            complete_fails_in_a_200,
            what_is_sent_may_be_spoilt,
            what_is_sent_may_be_cut,
            large_bodies_need_their_memory_once):
        try:
            check()
        except Exception as e:
            raise AssertionError("objsim: not true that " +
                                 check.__name__.replace("_", " ")) from e


if __name__ == "__main__":
    main()
