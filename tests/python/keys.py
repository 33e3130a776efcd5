# SPDX-License-Identifier: Apache-2.0
"""At least 300 hostile keys, and rules N1 to N6 written a second time.

keys.py put ENDPOINT BUCKET [sim]   store them (sim: objsim's own door too)
keys.py check ENDPOINT BUCKET MOUNT the tree is what the rules say, both ways
keys.py open ENDPOINT BUCKET MOUNT  the same of the files, without a walk
keys.py count
What a server does not hold faithfully is left out: only keys that its own
listing gives back are checked; the number of these is printed.
"""
import hashlib
import os
import random
import re
import sys
import urllib.parse

import s3


def keys():
    """The keys, each bytes, in no order."""
    k = {
        # F1: what would leave the mount on a naive path
        b"..", b".", b"../x", b"a/../b", b"/etc/passwd", b"./x", b"a//b",
        b"//", b"/", b"///x", b"a/./b", b"a/..", b"a/.", b"..a", b"...",
        b"....", b".hidden", b"a/../../../../etc/shadow", b"proc/self/mem",
        # N5 and N3: one name, two things
        b"twin", b"twin/child", b"twin/sub/deep", b"deep/twin", b"deep/twin/x",
        b"marker/", b"full-marker/", b"full-marker/x", b"only-marker/deeper/",
        b"twin2", b"twin2/", b"twin3", b"twin3//", b"twin4", b"twin4//x",
        b"dotty", b"dotty/.", b"..twin", b"..twin/..",
        # names that look like the rules' own
        b"%~", b"%~e", b"%~d", b"%~x", b"%~x%2E", b"%~=", b"%~=twin", b"%~#",
        b"%~e/x", b"d/%~d", b"%~~", b"%~x%25", b"%", b"%%", b"%2F", b"a%2Fb",
        b"%00", b"%41", b"% ~", b"%~=%~e", b"%~#a~" + b"0" * 32,
        # F4: bytes
        b"nul\0nul", b"\0", b"\x01", b"\x1f", b"\x7f", b"new\nline", b"tab\t",
        b"\r\n", b"\x1b[31mred", b" ", b"  ", b" lead", b"trail ", b"a b c",
        b"\\", b"a\\b", b"C:\\x", b"'", b'"', b"`id`", b"$(id)", b"${HOME}",
        b"-rf", b"--", b"*", b"?", b"[a]", b"{a,b}", b"~", b"~root", b"#",
        b"a#b", b"a?b=c", b"a&b", b"a;b", b"a=b", b"a+b", b"a b+c%20d", b"<x>",
        b"&amp;", b"<![CDATA[", b"]]>", b"&#0;", b"!", b"|", b":", b"@", b",",
        b"^", b"(", b")", b"a:b", b"\xff", b"\xfe\xff", b"\x80", b"\xc3",
        b"\xc0\xaf", b"\xc0\x80", b"\xe0\x80\xaf", b"\xed\xa0\x80",
        b"\xed\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80",
        b"\xe2\x82", b"\xe2\x82/x", b"x\xffy%z", b"\xff/\xfe", b"ok\xe2\x82\xac",
        "é".encode(), "é".encode(), "\ufffe".encode(), "\uffff".encode(),
        "\U0001f600".encode(), "\u202egnp".encode(), "\u200b".encode(),
        "日本語/ファイル".encode(), "ß".encode(), "İ".encode(), "\u0000".encode(),
        b"CASE", b"case", b"Case", b"con", b"nul", b"lost+found", b".tarn",
        # F3: lengths
        b"n" * 255, b"n" * 256, b"m" * 1024, b"p/" * 512, b"q" * 1023 + b"/",
        "é".encode() * 127, "é".encode() * 128, "€".encode() * 100,
        b"%~" + b"e" * 250, b"\xff" * 100, b"\xff" * 80, b"same" * 60 + b"1" * 60,
        b"same" * 60 + b"2" * 60, b"long" * 70, b"long" * 70 + b"/x",
        b"t" * 252, b"t" * 252 + b"/x", b"t" * 253, b"t" * 253 + b"/x",
        b"a" * 179 + "é".encode() * 60, b"/".join([b"z" * 255] * 4),
    }
    for i in range(256):
        k.add(b"byte/%02x-" % i + bytes([i]) + b"-end")
    g = random.Random(7)
    alphabet = [b"/", b".", b"%", b"~", b"%~", b"a", b"b", b"\xff", b"\0"]
    alphabet += ["é".encode(), b" ", b"e", b"x", b"=", b"#", b"d"]
    while len(k) < 600:
        n = g.randrange(1, 9)
        k.add(b"".join(g.choice(alphabet) for _ in range(n)))
    return k


def content(key):
    """What is stored under a key: plain markers are empty."""
    if key.endswith(b"/") and b"full" not in key and len(key) % 2:
        return b""
    return b"the bytes of " + key + b"\n"


def utf8_len(s, i):
    """Bytes of the valid character at s[i], or 0."""
    for n in (1, 2, 3, 4):
        try:
            s[i : i + n].decode("utf-8")
            return n if len(s) >= i + n else 0
        except UnicodeDecodeError:
            pass
    return 0


def escaped(comp):
    out = bytearray(b"%~x")
    i = 0
    while i < len(comp):
        n = utf8_len(comp, i)
        if n == 0 or comp[i] in (0, 0x25):
            out += b"%%%02X" % comp[i]
            i += 1
        else:
            out += comp[i : i + n]
            i += n
    return bytes(out)


def ordinary(comp):
    i = 0
    while i < len(comp):
        n = utf8_len(comp, i)
        if n == 0 or comp[i] == 0:
            return False
        i += n
    return not comp.startswith(b"%~") and comp not in (b".", b"..")


def name(comp, twin=False):
    if comp == b"":
        r = b"%~e"
    elif comp in (b".", b".."):
        r = b"%~x" + comp.replace(b".", b"%2E")
    else:
        r = comp if ordinary(comp) else escaped(comp)
    if twin:
        r = b"%~=" + r
    if len(r) > 255:
        cut = 180
        while r[cut] & 0xC0 == 0x80:
            cut -= 1
        digest = hashlib.sha256(r).hexdigest()[:32].encode()
        r = b"%~#" + r[:cut] + b"~" + digest
    return r


def paths(all_keys):
    """{path: key} of files and the set of directories."""
    dirs = set()
    for k in all_keys:
        parts = k.split(b"/")
        for i in range(1, len(parts)):
            dirs.add(b"/".join(parts[:i]) + b"/")
    files, tree = {}, set()

    def dir_path(d):
        return b"/".join(name(c) for c in d[:-1].split(b"/")) if d else b""

    for d in dirs:
        tree.add(dir_path(d))
    for k in all_keys:
        head, slash, last = k.rpartition(b"/")
        base = dir_path(head + slash)
        if last == b"" and slash:
            if content(k) == b"":
                continue
            leaf = b"%~d"
        else:
            leaf = name(last, twin=(k + b"/") in dirs)
        files[(base + b"/" if base else b"") + leaf] = k
    return files, tree


def held(store):
    """The keys that the server gives back as they were put; all it lists."""
    wanted, got, token = keys(), set(), None
    while True:
        q = [("list-type", b"2"), ("encoding-type", b"url")]
        if token:
            q.append(("continuation-token", token))
        _, body = store.must("GET", query=q)
        url = b"<EncodingType>url</EncodingType>" in body
        for m in re.findall(rb"<Key>(.*?)</Key>", body, re.S):
            m = re.sub(rb"&(#?\w+);", entity, m)
            if url:
                m = urllib.parse.unquote_to_bytes(m.replace(b"+", b" "))
            got.add(m)
        t = re.search(rb"<NextContinuationToken>(.*?)<", body, re.S)
        if not t:
            break
        token = t.group(1).replace(b"&amp;", b"&")
    ok = set()
    for k in sorted(got & wanted):
        status, _, body = store.request("GET", k)
        if status == 200 and body == content(k):
            ok.add(k)
    return ok, got


def entity(m):
    """The bytes of one reference of XML."""
    e = m.group(1).decode()
    if e[:2] in ("#x", "#X"):
        return chr(int(e[2:], 16)).encode()
    if e[0] == "#":
        return chr(int(e[1:])).encode()
    return {"lt": b"<", "gt": b">", "amp": b"&", "quot": b'"', "apos": b"'"}[e]


def put(store):
    kept = set()
    for k in sorted(keys(), key=lambda k: (len(k), k)):
        try:
            if store.request("PUT", k, body=content(k))[0] < 300:
                kept.add(k)
        except (OSError, ValueError):
            store.conn.close()
    ok, got = held(store)
    # A name that was folded or spoilt goes, under both its names; that may
    # take another along.
    for _ in range(4):
        if got == ok:
            break
        for k in (got - ok) | (kept - ok):
            store.request("DELETE", k)
        ok, got = held(store)
    if got != ok:
        raise SystemExit("keys.py: cannot be deleted: %r" % sorted(got - ok))
    print("%d keys of %d held" % (len(ok), len(keys())))


def check(store, mnt, walk=True):
    mnt = os.fsencode(mnt)
    ok, _ = held(store)
    files, dirs = paths(ok)
    if len(files) + len([k for k in ok if content(k) == b""]) != len(ok):
        raise SystemExit("keys.py: two keys have one path")
    bad = []
    seen_files, seen_dirs = set(), set()

    def stop(e):
        raise e

    for where, ds, fs in os.walk(mnt, onerror=stop) if walk else ():
        rel = os.path.relpath(where, mnt)
        base = b"" if rel == b"." else rel + b"/"
        seen_dirs.update(base + d for d in ds)
        seen_files.update(base + f for f in fs)
    if not walk:
        seen_files, seen_dirs = set(files), dirs
    for p in sorted(set(files) - seen_files):
        bad.append(("not listed", p, files[p]))
    for p in sorted(seen_files - set(files)):
        bad.append(("listed, but no key's", p))
    for p in sorted(dirs - seen_dirs):
        bad.append(("directory not listed", p))
    for p in sorted(seen_dirs - dirs):
        bad.append(("directory of no key", p))
    for p, k in sorted(files.items()):
        # A path may be longer than PATH_MAX: go down step by step.
        fd = os.open(mnt, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for part in p.split(b"/")[:-1]:
                down = os.open(part, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
                os.close(fd)
                fd = down
            f = os.open(p.split(b"/")[-1], os.O_RDONLY, dir_fd=fd)
            got = os.read(f, 4096)
            os.close(f)
            if got != content(k):
                bad.append(("other bytes", p, k, got))
        except OSError as e:
            bad.append((os.strerror(e.errno), p, k))
        finally:
            os.close(fd)
    for b in bad[:25]:
        print(b, file=sys.stderr)
    if bad:
        raise SystemExit("keys.py: %d wrong of %d" % (len(bad), len(files)))
    print(len(files))


def main():
    if sys.argv[1] == "count":
        print(len(keys()))
        return
    store = s3.S3(sys.argv[2], sys.argv[3])
    if sys.argv[1] == "put":
        put(store)
    elif sys.argv[1] in ("check", "open"):
        check(store, sys.argv[4], sys.argv[1] == "check")
    else:
        raise SystemExit("keys.py: no command " + sys.argv[1])


if __name__ == "__main__":
    main()
