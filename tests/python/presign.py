# SPDX-License-Identifier: Apache-2.0
"""presign.py ENDPOINT BUCKET KEY: print a URL that is signed for an hour."""
import sys

import s3

print(s3.S3(sys.argv[1], sys.argv[2]).presign(sys.argv[3].encode()))
