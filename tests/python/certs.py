# SPDX-License-Identifier: Apache-2.0
"""certs.py expired KEY CERT: a certificate for 127.0.0.1 that has expired.

`openssl req` of this age cannot date one back, `openssl ca` can.
"""
import os
import subprocess
import sys
import tempfile

CONF = """
[ca]
default_ca = c
[c]
database = {0}/index
new_certs_dir = {0}
serial = {0}/serial
default_md = sha256
policy = p
x509_extensions = e
[p]
commonName = supplied
[req]
distinguished_name = d
[d]
[e]
subjectAltName = IP:127.0.0.1
basicConstraints = CA:TRUE
"""


def main():
    key, cert = sys.argv[2:4]
    with tempfile.TemporaryDirectory() as d:
        conf = os.path.join(d, "conf")
        with open(conf, "w") as f:
            f.write(CONF.format(d))
        open(os.path.join(d, "index"), "w").close()
        with open(os.path.join(d, "serial"), "w") as f:
            f.write("01\n")
        csr = os.path.join(d, "csr")
        run = lambda *a: subprocess.run(a, check=True, stderr=subprocess.DEVNULL)
        run("openssl", "req", "-config", conf, "-new", "-newkey", "ec",
            "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
            "-out", csr, "-subj", "/CN=expired")
        run("openssl", "ca", "-config", conf, "-batch", "-selfsign",
            "-keyfile", key, "-in", csr, "-out", cert, "-notext",
            "-startdate", "20200101000000Z", "-enddate", "20200201000000Z")


main()
