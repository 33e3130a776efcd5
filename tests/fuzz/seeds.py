# SPDX-License-Identifier: Apache-2.0
"""Write the seeds of the fuzzers into tests/fuzz/corpus/.

seeds.py: each fuzzer's comment says how its input is made. What a fuzzer
found is kept beside these, in a file that names what was wrong.
"""
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))


def put(fuzzer, name, data):
    d = os.path.join(HERE, "corpus", fuzzer)
    os.makedirs(d, exist_ok=True)
    with open(os.path.join(d, name), "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())


def http(name, how, head, body=b"", off=0, length=255, status=0, piece=255,
         total=None):
    """how: 1 HEAD, 2 a range, 4 the size is known, 8 and 16 wide numbers."""
    data = bytes([how])
    if how & 4:
        data += bytes([total])
    data += struct.pack("<Q", off << 1) if how & 8 else bytes([off])
    data += struct.pack("<Q", length << 1) if how & 16 else bytes([length])
    head = b"".join(line + b"\r\n" for line in head)
    put("ufs_http", name, data + bytes([status, piece])
        + struct.pack("<H", len(head)) + head + body)


OBJECT = [b"ETag: \"v1\"", b"Last-Modified: Tue, 24 Nov 2026 10:00:00 GMT"]
BODY = bytes(range(65, 75))
http("no-headers", 0, [])
http("head", 1, [b"HTTP/1.1 200 OK", b"Content-Length: 5"] + OBJECT)
http("range", 2, [b"HTTP/1.1 206 X", b"Content-Length: 10",
                  b"Content-Range: bytes 3-12/13"] + OBJECT, BODY, 3, 10, 1, 3)
http("range-at-the-end", 6, [b"Content-Range: bytes 3-12/13"], BODY, 3, 200,
     1, 1, total=13)
http("whole-for-a-range", 2, [b"Content-Length: 10"], BODY, 3, 4, 0, 2)
http("huge-range", 26, [b"Content-Range: bytes 4611686018427387904-"
                        b"4611686018427387913/9223372036854775000"],
     BODY, 1 << 62, 10, 1)
http("two-lengths", 0, [b"Content-Length: 10", b"Content-Length: 11"], BODY)
http("chunked", 0, [b"Transfer-Encoding: chunked"], BODY)
http("too-much", 0, [b"Content-Length: 9"], BODY)
http("interim", 0, [b"HTTP/1.1 103 Early Hints", b"Link: x", b"",
                    b"HTTP/1.1 200 OK", b"Content-Length: 10"], BODY)
http("busy", 0, [b"Retry-After: 120"], b"<Error/>", status=4)
http("busy-date", 0, [b"Retry-After: Tue, 24 Nov 2026 10:00:00 GMT"],
     status=4)

PAGE = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">%s
</ListBucketResult>"""
ENTRY = """<Contents><Key>%s</Key><LastModified>2009-10-12T17:50:30.000Z
</LastModified><ETag>&quot;%s&quot;</ETag><Size>%s</Size>
<StorageClass>%s</StorageClass></Contents>"""


def xml(name, text, piece=7):
    put("ufs_xml", name, bytes([piece]) + text.encode())


xml("empty", PAGE % "<IsTruncated>false</IsTruncated>")
xml("page", PAGE % (
    "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
    "<NextContinuationToken>t/1</NextContinuationToken>"
    + ENTRY % ("a%2Fb+c%00", "e1", "12", "STANDARD")
    + ENTRY % ("a", "W/x", "99999999999999999999", "GLACIER")
    + "<CommonPrefixes><Prefix>a%2F</Prefix></CommonPrefixes>"))
xml("unsorted", PAGE % ("<IsTruncated>false</IsTruncated>" + "".join(
    ENTRY % (k, "e", "1", "STANDARD") for k in "zbbya")))
xml("error", "<Error><Code>NoSuchBucket</Code><Region>eu-west-1</Region>"
    "</Error>", 1)
xml("doctype", '<!DOCTYPE x [<!ENTITY a "b">]><ListBucketResult>&a;'
    "</ListBucketResult>")


def refusal(name, status, head, body="", is_head=0):
    put("ufs_refusal", name, bytes([status * 2 + is_head])
        + struct.pack("<H", len(head)) + head.encode() + body.encode())


REGION = "<Error><Code>%s</Code><Region>%s</Region></Error>"
refusal("no-headers", 0, "")
refusal("moved", 0, "x-amz-bucket-region:eu-west-1\n")
refusal("moved-by-body", 0, "", REGION % ("PermanentRedirect", "eu-west-1"))
refusal("moved-by-location", 1,
        "location:https://b.s3.eu-west-1.amazonaws.com/x\n")
refusal("moved-by-old-location", 1,
        "location:https://b.s3-eu-west-1.amazonaws.com/\n")
refusal("bad-region", 0, "x-amz-bucket-region:evil.example/\r\n")
refusal("skewed", 3, "date:Tue, 24 Nov 2026 10:00:00 GMT\n",
        REGION % ("RequestTimeTooSkewed", ""))
refusal("skewed-head", 3, "date:Tue, 24 Nov 1971 10:00:00 GMT\n", "", 1)
refusal("no-bucket", 4, "", REGION % ("NoSuchBucket", ""))
refusal("busy", 6, "", REGION % ("SlowDown", ""))

for name, way, text in [
    ("words", 0, "ro,_netdev,cache-dir=/a:/b\\,c,memory=1G,uid=0"),
    ("values", 0, "consistency=ttl:60s,cache-size=80%,file-mode=0640,"
     "read-timeout=500ms,max-connections=7,log=/x,passthrough=off"),
    ("mistyped", 0, "cache-dri=/x"),
    ("secret", 0, "secret-key=x"),
    ("endpoint", 0, "endpoint=https://user@host:1/"),
    ("file", 1, '{"memory": "1G", "ro": true,\n "max-connections": 7}'),
    ("file-bad", 1, '{"memory":\n "1G", "memry": 1}'),
    ("file-no-json", 1, '{"memory": '),
    ("file-escape", 1, '{"m\\u0065mory": "\\u0000"}'),
    ("env", 2, "TARN_MEMORY=1G\nPATH=/bin\nTARN_CACHE_DIR=/x\nTARN_=\n"),
    ("env-bad", 2, "TARN_MEMRY=1"),
]:
    put("fuse_options", name, bytes([way]) + text.encode())

INI = b"""# comment
[default]
aws_access_key_id = A
aws_secret_access_key=S # not of it
region = eu-west-1
s3 =
  endpoint_url = http://x
[profile "x"]
region=
nonsense
[unclosed
"""
put("ufs_ini", "file", bytes([7, 6]) + b"default" + b"region" + INI)
put("ufs_ini", "nul", bytes([0, 1]) + b"k" + b"k=\0v\r\n[]\n=\n")

for name, way, text in [
    ("program", 0, '{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "S"}'),
    ("container", 1, '{"AccessKeyId": "A", "SecretAccessKey": "S", "Token": "T"'
     ', "Expiration": "2026-11-24T10:00:00Z"}'),
    ("spaces", 0, '{"AccessKeyId": "A\\n", "SecretAccessKey": "S"}'),
    ("no-string", 1, '{"AccessKeyId": 1, "Expiration": -1}'),
    ("time", 2, "2012-12-03T20:48:03Z"), ("time-zone", 2,
     "2012-12-03T20:48:03.123+05:30"), ("time-far", 2, "9999-99-99T99:99:99Z"),
    ("command", 3, "/bin/a 'b c' \"d\\\"e\" f"), ("command-open", 3, "a 'b"),
    ("command-long", 3, "a b c d e f g h i"),
    ("endpoint", 4, "https://HOST.example:443/s3/"),
    ("endpoint-6", 4, "http://[::1]:9000"), ("endpoint-keys", 4,
     "https://a:b@host"),
]:
    put("ufs_keys", name, bytes([way]) + text.encode())

for name, text in [("size", "1.5G"), ("bytes", "1536"), ("time", "500ms"),
                   ("day", "1d"), ("huge", "99999999999999999999E"),
                   ("fraction", "0.000000000000000000001T"), ("zero", "0"),
                   ("largest", "9223372036854775807")]:
    put("base_units", name, text)

for name, way, comp in [
    ("plain", 0, b"file.txt"), ("empty", 0, b""), ("dots", 0, b".."),
    ("marked", 0, b"%~x"), ("nul", 0, b"a\0b"), ("latin1", 0, b"caf\xe9"),
    ("utf8", 0, "é漢😀".encode()), ("long", 0, b"x" * 300),
    ("long-utf8", 0, "é".encode() * 200), ("long-special", 0, b"\xff" * 100),
    ("twin", 1, b"a"), ("data", 2, b""),
    ("name", 3, b"%~x%2E%2E"), ("name-empty", 3, b"%~e"),
    ("name-twin", 3, b"%~=%~x%00"), ("name-lower", 3, b"%~x%2e"),
    ("name-long", 3, b"%~#" + b"x" * 180 + b"~" + b"0a" * 16),
]:
    put("fuse_names", name, bytes([way]) + comp)

put("fuse_mountinfo", "lines",
    "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
    "41 40 0:51 / /data ro,nosuid shared:7 - fuse.tarn s3://b/p ro\n"
    "42 22 0:52 / /my\\040data\\134x ro - fuse.tarn file:///a\\040b ro\n"
    "43 22 x:y / /data ro - fuse.tarn s ro\n44 22 0:53 / /data - \n45 22 0:54")


def listing(name, shape, fix=0, cut=0, find=b"", *changes):
    data = bytes([shape, fix]) + struct.pack("<H", cut) + bytes([len(find)])
    data += find
    for at, new in changes:
        data += struct.pack("<H", at) + bytes([len(new) - 1]) + new
    put("cache_listing", name, data)


listing("empty", 0)
listing("few", 1, find=b"a")
listing("many", 2, find=b"name-000500")
listing("cut", 2, 0, 9)
listing("longer", 1, 15, 0x8010)
listing("flipped", 2, 0, 0, b"n", (300, b"\xff"))
listing("entry-length", 1, 15, 0, b"a", (128, b"\xff\xff"))
listing("row-length", 2, 15, 0, b"n", (0x8000 + 40, b"\xff"))
listing("counts", 1, 7, 0, b"a", (32, b"\x09"))


def entries(name, *names):
    data = b""
    for n, is_dir in names:
        data += bytes([len(n) | (0x80 if is_dir else 0)]) + n
    put("cache_entries", name, data)


entries("sorted", (b"a", 0), (b"a-", 0), (b"a", 1), (b"b", 0))
entries("unsorted", (b"b", 0), (b"a", 1), (b"a", 0), (b"b", 0))
entries("marker", (b"", 0), (b"x", 1), (b"", 0))
entries("slash", (b"a/b", 0), (b"", 1), (b"/", 1))


def extent(name, large, length, written, *changes):
    data = bytes([large]) + struct.pack("<H", length) + struct.pack(
        "<I", written)[:3]
    for how, at, new in changes:
        data += bytes([how]) + struct.pack("<H", at)
        data += bytes([len(new) - 1]) + new
    put("cache_extent", name, data)


extent("small", 0, 100, 0)
extent("small-pages", 0, 40000, 0)
extent("small-flipped", 0, 40000, 0, (8, 5, b"\xff"))
extent("small-attr", 0, 100, 0, (2, 28, b"\x01"))
extent("small-attr-cut", 0, 100, 0, (3, 20, b"\x01"))
extent("small-cut", 0, 100, 0, (4, 7, b"x"))
extent("large", 1, 100, 3)
extent("large-last", 1, 100, 0x10000)
extent("large-data", 1, 100, 3, (8, 5, b"\xff"))
extent("large-word", 1, 100, 1, (1, 136, b"\x01"))
extent("large-header", 1, 100, 3, (1, 32, b"\x01"), (7, 0, b"x"))
extent("large-attr", 1, 100, 3, (2, 36, b"\x01"))
extent("large-moved", 1, 100, 3, (6, 0, b"x"))
extent("large-map-cut", 1, 100, 3, (5, 130, b"x"))


def request(name, *lines, size=1 << 21):
    put("ring_request", name,
        struct.pack("<Q", size) + "\n".join(lines).encode("latin1"))


SIGNED = ("x-amz-date: 20231114T221320Z",
          "x-amz-content-sha256: UNSIGNED-PAYLOAD",
          "authorization: AWS4-HMAC-SHA256 Credential=tarn/20231114/us-east-1/"
          "s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date"
          ", Signature=" + "0" * 64)
request("signed", "GET", "/bucket/a%2Fb", "Host: x", *SIGNED)
request("presigned", "GET", "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date="
        "20231114T221320Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-"
        "Credential=tarn%2F20231114%2Fus-east-1%2Fs3%2Faws4_request&"
        "X-Amz-Signature=" + "0" * 64, "host: x")
request("list", "GET", "/b?list-type=2&prefix=a%26+b&delimiter=/", "Host: x")
request("range", "GET", "/b/k", "Host: x", "Range: bytes=5-1000000", *SIGNED)
request("suffix", "GET", "/b/k", "Host: x", "Range: bytes=-7", size=10)
request("tags", "HEAD", "/b/k", "Host: x", 'If-Match: "a", W/"b", *',
        "Cache-Control: no-transform, max-age=60", *SIGNED)
request("smuggled", "POST", "/-/load", "Host: x", "Content-Length: 5",
        "Content-Length: 6", "Transfer-Encoding: chunked")
request("bad-escape", "GET", "/b/%zz", "Host: x")


def result(name, root, text):
    """root: 0 to 3, which result is asked for."""
    put("ufs_result", name, bytes([root]) + text.encode())


NS = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
UPLOAD = """<Upload><Key>%s</Key><UploadId>%s</UploadId><Initiated>
2010-11-10T20:48:33.000Z</Initiated></Upload>"""
result("begun", 0, "<InitiateMultipartUploadResult%s><Key>k</Key><UploadId>u1"
       "</UploadId></InitiateMultipartUploadResult>" % NS)
result("ended", 1, '<?xml version="1.0"?>\n<CompleteMultipartUploadResult>'
       "<ETag>&quot;e-2&quot;</ETag><ChecksumCRC64NVME>AAAAAAAAAAA="
       "</ChecksumCRC64NVME><ChecksumType>FULL_OBJECT</ChecksumType>"
       "</CompleteMultipartUploadResult>")
result("ended-late", 1, "  \n <?xml version='1.0'?><Error><Code>InternalError"
       "</Code></Error>")
result("copied", 2, "<CopyObjectResult><LastModified>2009-10-12T17:50:30.000Z"
       "</LastModified><ETag>&quot;e&quot;</ETag></CopyObjectResult>")
result("part", 3, "<CopyPartResult><ETag>e</ETag></CopyPartResult>")
result("two-ids", 0, "<InitiateMultipartUploadResult><UploadId>a</UploadId>"
       "<UploadId>b</UploadId></InitiateMultipartUploadResult>")
result("cut", 2, "<CopyObjectResult><ETag>e</ETag>")
result("uploads", 0, "<ListMultipartUploadsResult><EncodingType>url"
       "</EncodingType><IsTruncated>true</IsTruncated><NextKeyMarker>a%2Fb+c"
       "</NextKeyMarker><NextUploadIdMarker>i</NextUploadIdMarker>"
       + UPLOAD % ("a%2Fb%00", "i") + UPLOAD % ("", "j")
       + "</ListMultipartUploadsResult>")
result("uploads-last", 0, "<ListMultipartUploadsResult><IsTruncated>false"
       "</IsTruncated>" + UPLOAD % ("k", "i") + "</ListMultipartUploadsResult>")
result("uploads-no-id", 0, "<ListMultipartUploadsResult><IsTruncated>false"
       "</IsTruncated><Upload><Key>k</Key></Upload>"
       "</ListMultipartUploadsResult>")


def record(name, how, text, size=100):
    """how: 1 with data, 2 made of a key, 4 edited, 8 saved, 16 upon a base."""
    put("cache_record", name, struct.pack("<BH", how, size) + text)


RECORD = b"""{"format": 1, "store": "s", "prefix": "p/", "key": "a%%0A",
"bound": %s, "base_end": %d, "written": [0, 40, 50, 100], "size": 100,
"clean": false, "error": %d, "upload": "u", "pid": 1, "boot": "b"}"""
record("failed", 13, RECORD % (b'"absent", "version": ""', 0, 5))
record("upon-a-version", 13, RECORD % (b'"version", "version": "e"', 100, 0))
record("whole", 13, RECORD % (b'"any", "version": ""', 40, 28))
record("alone", 4, RECORD % (b'"exclusive", "version": ""', 0, 0))
record("empty", 1, b"")
record("torn", 1, b'{"format": 1, "store": "s')
record("no-object", 1, b"[1]")
record("made", 15, struct.pack("<H", 3) + b"a\xff/u\n", 0)
record("made-upon-a-base", 31, struct.pack("<H", 2) + b"\0%" + b"u")
