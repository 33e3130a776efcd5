# SPDX-License-Identifier: Apache-2.0
"""A name server that answers every question for A as a file says.

dns.py ADDRESS PORT ANSWER-FILE READY-FILE
ANSWER-FILE holds addresses with spaces between, SERVFAIL, or SILENT; it is read
for each question. All other kinds of records are absent. A line for each
question goes to standard output: the kind and what was answered.
"""
import socket
import struct
import sys

address, port, answer_file, ready = sys.argv[1:]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((address, int(port)))
open(ready, "w").close()
while True:
    q, client = s.recvfrom(4096)
    end = q.index(b"\0", 12) + 5
    kind = struct.unpack(">H", q[end - 4 : end - 2])[0]
    said = open(answer_file).read().split()
    print(kind, *said, flush=True)
    if said == ["SILENT"]:
        continue
    code = 2 if said == ["SERVFAIL"] else 0
    records = [] if code or kind != 1 else [
        b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 1, 4) + socket.inet_aton(a)
        for a in said]
    s.sendto(q[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, len(records), 0, 0)
             + q[12:end] + b"".join(records), client)
