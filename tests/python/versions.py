# SPDX-License-Identifier: Apache-2.0
"""Write versions of files until the mount dies, and say which are to be there.

Usage: versions.py write DIR JOURNAL SEED
       versions.py check DIR JOURNAL

write changes three files below DIR by turns, each time from one version to the
next by a few calls, until a call fails; JOURNAL gets a line `try NAME HASH`
before the first of them and `ack NAME HASH` when a close, an fsync or a rename
has said that the store has it. check reads the files: each has to be the
version that was acknowledged last or one that was tried after it, whole; what
it is becomes the one that is acknowledged. Prints how many it acknowledged, or
checked; exits 1 with what is wrong.
"""
import hashlib
import os
import random
import sys

SIZES = {"small": 200_000, "large": 14_000_000, "replaced": 3_000_000}
ABSENT = "absent"


def digest(data):
    return hashlib.sha256(data).hexdigest()


def read_or_none(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except FileNotFoundError:
        return None


def noise(size):
    """Of bytes that differ from place to place and from call to call."""
    block = random.randbytes(min(size, 100_003))
    return (block * (size // max(len(block), 1) + 1))[:size]


def next_version(name, old):
    """(how, new bytes, [(offset, bytes)...] that make it of the old)"""
    most = SIZES[name]
    how = random.choice(("empty", "patch", "append", "cut", "sync"))
    if name == "replaced":
        how = "replace"
    if old is None or how in ("empty", "sync", "replace"):
        new = noise(random.randrange(1, most))
        return how if how == "replace" else "empty", new, [(0, new)]
    new = bytearray(old)
    if how == "cut":
        del new[random.randrange(len(new) + 1):]
        return how, bytes(new), []
    if how == "append" and len(new) < most:
        add = noise(random.randrange(1, most - len(new) + 1))
        return how, bytes(new) + add, [(len(new), add)]
    writes = []
    for _ in range(random.randrange(1, 5)):
        at = random.randrange(len(new) + 1)
        data = noise(random.randrange(1, most // 4))
        new[at:at + len(data)] = data
        writes.append((at, data))
    return "patch", bytes(new), writes


def change(path, how, new, writes, acked):
    if how == "cut":
        os.truncate(path, len(new))
        return acked()
    to = path + ".tmp" if how == "replace" else path
    fd = os.open(to, os.O_RDWR | os.O_CREAT |
                 (0 if how in ("patch", "append") else os.O_TRUNC))
    for at, data in writes:
        for i in range(0, len(data), 1 << 20):
            os.pwrite(fd, data[i:i + (1 << 20)], at + i)
    if random.random() < 0.3:
        os.fsync(fd)
        if how != "replace":
            acked()
    os.close(fd)
    if how == "replace":
        os.rename(to, path)
    acked()


def write(where, journal, seed, names=tuple(sorted(SIZES)), most=None):
    """Change these files until a call fails, or so many times."""
    random.seed(seed)
    acks = 0
    try:
        files = {x: read_or_none(os.path.join(where, x)) for x in SIZES}
        while acks != most:
            name = random.choice(names)
            how, new, writes = next_version(name, files[name])
            journal.write("try %s %s %s\n" % (name, digest(new), how))
            change(os.path.join(where, name), how, new, writes,
                   lambda: journal.write("ack %s %s\n" % (name, digest(new))))
            files[name] = new
            acks += 1
    except OSError as e:
        journal.write("# %s\n" % e)
    return acks


def allowed(lines):
    """name -> [(digest, how)...]: of these one has to be there."""
    may = {name: [(ABSENT, "at first")] for name in SIZES}
    for line in lines:
        words = line.split()
        if words[0] == "ack":
            may[words[1]] = [(words[2], "acknowledged")]
        elif words[0] == "try":
            may[words[1]].append((words[2], "by " + words[3]))
    return may


def check(where, journal, lines):
    for name, versions in allowed(lines).items():
        data = read_or_none(os.path.join(where, name))
        got = ABSENT if data is None else digest(data)
        if got not in [v for v, _ in versions]:
            sys.exit("%s is %s of %s bytes, and may be %s" % (
                name, got, data and len(data), versions))
        journal.write("ack %s %s\n" % (name, got))


def main():
    if not os.path.exists(sys.argv[3]):
        open(sys.argv[3], "w").close()
    with open(sys.argv[3]) as before:
        said = before.readlines()
    with open(sys.argv[3], "a", buffering=1) as out:
        if sys.argv[1] == "write":
            print(write(sys.argv[2], out, sys.argv[4]))
        else:
            check(sys.argv[2], out, [x for x in said if x[0] != "#"])
            print(len(SIZES))


if __name__ == "__main__":
    main()
