# SPDX-License-Identifier: Apache-2.0
"""Have the daemon die at each step of writing, and look what is there then.

Usage: crashes.py DIR SEED EACH TARN SOURCE OPTIONS [POINT...]

Mounts SOURCE on DIR/mnt, with DIR/cache, which is wiped before each mount, and
DIR/staging. Each POINT of base/crash.h is the daemon's end at its first to its
EACHth passing, while the writer of versions.py changes files, or while the
mount ends what the one before it had begun. After each death the next mount
has to have every file as acknowledged last or as tried after it, whole.
Prints how often the daemon was killed; exits 1 with what is wrong.
"""
import ctypes
import glob
import os
import shutil
import signal
import subprocess
import sys
import time

import versions

where, seed, each, tarn, source, options = sys.argv[1:7]
POINTS = sys.argv[7:]
MNT, CACHE, STAGING, TRACE = (
    os.path.join(where, x) for x in ("mnt", "cache", "staging", "crashed"))
# Whose children are nobody's any more: a daemon's end is told to us.
PR_SET_CHILD_SUBREAPER = 36
LONG = 60  # seconds for what is to happen soon
# More changes than any point takes to be passed so often.
MOST = 400
versions.SIZES = {"small": 100_000, "large": 7_000_000, "replaced": 400_000}


class Journal(list):
    """What was tried and acknowledged; see versions.py."""

    def write(self, line):
        self.append(line)


journal = Journal()
kills = 0
doing = ""


def fail(why):
    sys.exit("%s of seed %s, after %d kills: %s; last: %s" % (
        doing, seed, kills, why, " ".join(journal[-3:]).replace("\n", ",")))


def ended(how):
    """Add how children ended to the list. True when there is none left."""
    try:
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return None
            how.append(status)
    except ChildProcessError:
        return True


def ends(why):
    """How the daemon and what it came from ended."""
    how = []
    wait_for(lambda: ended(how), why)
    return how


def wait_for(what, why):
    until = time.monotonic() + LONG
    while True:
        got = what()
        if got is not None:
            return got
        if time.monotonic() > until:
            fail(why)
        time.sleep(0.005)


def run(args, at=None):
    env = dict(os.environ)
    if at is not None:
        env["TARN_CRASH_AT"] = "%s:%s" % (at, TRACE)
    with open(os.path.join(where, "command.out"), "w+") as out:
        rc = subprocess.run([tarn] + args, env=env, stdout=out, stderr=out,
                            stdin=subprocess.DEVNULL).returncode
        out.seek(0)
        if rc != 0 and at is None:
            fail("tarn %s: %s" % (args[0], out.read()))
    return rc


def mount(at=None):
    if os.path.exists(TRACE):
        os.unlink(TRACE)
    shutil.rmtree(CACHE)
    os.mkdir(CACHE, 0o700)
    return run(["mount", source, MNT, "-o",
         "cache-dir=%s,staging-dir=%s,log=%s.log,log-level=debug,%s" % (
             CACHE, STAGING, MNT, options)], at)


def umount():
    run(["umount", MNT])
    how = ends("it does not end")
    if any(how):
        fail("it did not end well: %s" % how)


def renames_done():
    """True when those of the one before are ended, False when it died."""
    if not glob.glob(STAGING + "/*/*.rename"):
        return True
    return False if os.path.exists(TRACE) else None


def waiting():
    n = 0
    for name in glob.glob(STAGING + "/*/*.json"):
        try:
            with open(name) as f:
                n += '"acked": true' in f.read()
        except FileNotFoundError:
            pass
    return n


def check():
    versions.check(MNT, journal, [x for x in journal if x[0] != "#"])
    # What is there is known now: what was tried before is not allowed again.
    journal[:] = journal[-len(versions.SIZES):]


def check_if_alive():
    """Whether all was looked at before the daemon died."""
    try:
        if not wait_for(renames_done, "a rename is not ended"):
            return False
        check()
        return True
    except OSError as e:
        journal.write("# %s\n" % e)
        return False


def names_for(point):
    """Files whose changes pass it."""
    if point.startswith("re"):
        return ("replaced",)
    if point in ("upload-recorded", "part-sent", "commit-complete"):
        return ("large",)
    return tuple(versions.SIZES)


def die_at(point, nth):
    global doing, kills
    doing = "%s:%d" % (point, nth)
    # It may die before there is a mount, which `tarn mount` then sees.
    mounted = mount(doing) == 0
    looked = mounted and check_if_alive()
    if looked:
        versions.write(MNT, journal, "%s.%d" % (seed, kills),
                       names_for(point), MOST)
    how = ends("it lives")
    if not os.path.exists(TRACE) or (mounted and signal.SIGKILL not in how):
        fail("it ended elsewhere: %s" % how)
    kills += 1
    if not looked:
        mount()
        if not check_if_alive():
            fail("it does not serve")
        umount()


def main():
    global doing
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for n in range(1, int(each) + 1):
        for point in POINTS:
            # What is to go on has to be left by somebody.
            if point.startswith("resume-"):
                die_at("rename-recorded", 1)
            die_at(point, 1 if point.startswith("resume-") else n)
    doing = "the end"
    mount()
    check()
    wait_for(lambda: waiting() == 0 or None, "some wait for the store")
    umount()
    mount()
    check()
    umount()
    print(kills)


main()
