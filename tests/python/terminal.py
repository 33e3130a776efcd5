# SPDX-License-Identifier: Apache-2.0
"""Run a command on a terminal of its own and play a user.

terminal.py TERM ROWSxCOLUMNS STEP... -- COMMAND...
Steps, each within thirty seconds: see:TEXT (in what came since the last key or
size), keys:TEXT, size:ROWSxCOLUMNS, signal:NAME, hangup (the terminal goes away).
Exits as the command does, 90 and what came when a step is not seen.
"""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

split = sys.argv.index("--")
term, size, *steps = sys.argv[1:split]
command = sys.argv[split + 1 :]
LIMIT = 30  # a mount of another test may be stopped just now
# Cursor movements, attributes, character sets, titles.
ESCAPES = re.compile(rb"\x1b(\[[0-9;?>]*[a-zA-Z]|[()].|\][^\x07]*\x07|[=>78M])")


def resize(fd, text):
    rows, columns = map(int, text.split("x"))
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


pid, fd = pty.fork()
if pid == 0:
    os.environ["TERM"] = term
    resize(0, size)
    os.execvp(command[0], command)
came = b""


def read_some(timeout):
    """False: the command has closed its side."""
    global came
    if not select.select([fd], [], [], timeout)[0]:
        return True
    try:
        data = os.read(fd, 65536)
    except OSError:
        return False
    came += data
    return bool(data)


def seen(text):
    return text.encode() in ESCAPES.sub(b"", came)


for step in steps:
    kind, _, value = step.partition(":")
    if kind == "see":
        until = time.monotonic() + LIMIT
        while not seen(value) and time.monotonic() < until and read_some(0.1):
            pass
        if not seen(value):
            print("terminal.py: never saw %r in %r" % (value, came))
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            sys.exit(90)
    elif kind == "keys":
        came = b""
        os.write(fd, value.encode())
    elif kind == "size":
        came = b""
        resize(fd, value)
    elif kind == "signal":
        os.kill(pid, getattr(signal, "SIG" + value))
    elif kind == "hangup":
        os.close(fd)
    else:
        sys.exit("terminal.py: no step %r" % step)
until = time.monotonic() + LIMIT
while time.monotonic() < until:
    done, status = os.waitpid(pid, os.WNOHANG)
    if done:
        if os.WIFSIGNALED(status):
            sys.exit(128 + os.WTERMSIG(status))
        sys.exit(os.WEXITSTATUS(status))
    if "hangup" in steps or not read_some(0.1):
        time.sleep(0.05)
print("terminal.py: the command did not end; %r" % came)
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
sys.exit(91)
