# SPDX-License-Identifier: Apache-2.0
"""What a worker serves, seen by the clients that programs use.

clients.py boto3|pyarrow|s3fs ENDPOINT BUCKET DIR: all files below DIR must be
there with their bytes, and listed. Keys come from the environment.
"""
import os
import sys


def files_below(top):
    found = {}
    for at, _, names in os.walk(top):
        for n in names:
            path = os.path.join(at, n)
            with open(path, "rb") as f:
                found[os.path.relpath(path, top)] = f.read()
    return found


def see_boto3(endpoint, bucket, files):
    import boto3
    from botocore.config import Config
    from botocore.exceptions import ClientError

    s3 = boto3.client(
        "s3",
        endpoint_url=endpoint,
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"},
                      retries={"max_attempts": 1}),
    )
    assert [b["Name"] for b in s3.list_buckets()["Buckets"]] == [bucket]
    s3.head_bucket(Bucket=bucket)
    s3.get_bucket_location(Bucket=bucket)

    def listing(call, size, **more):
        keys, prefixes = [], []
        pages = s3.get_paginator(call).paginate(
            Bucket=bucket, PaginationConfig={"PageSize": size}, **more
        )
        for page in pages:
            got = page.get("Contents", []), page.get("CommonPrefixes", [])
            assert len(got[0]) + len(got[1]) <= size
            keys += [(c["Key"], c["Size"]) for c in got[0]]
            prefixes += [p["Prefix"] for p in got[1]]
        return keys, prefixes

    sizes = {k: len(v) for k, v in files.items()}
    sizes["d/marked/"] = 0
    inside = lambda k: k.startswith("d/") and k.find("/", 2) < 0
    level = sorted((k, n) for k, n in sizes.items() if inside(k))
    dirs = ["d/e f/", "d/g/", "d/marked/"]
    for call in "list_objects_v2", "list_objects":
        for size in 1, 7, 1000:
            keys, _ = listing(call, size)
            assert keys == sorted(sizes.items()), (call, size, keys)
            keys, prefixes = listing(call, size, Prefix="d/", Delimiter="/")
            assert (keys, prefixes) == (level, dirs), (call, size, keys, prefixes)
            keys, prefixes = listing(
                call, size, Prefix="d/file 1", Delimiter="/"
            )
            want = [kn for kn in level if kn[0].startswith("d/file 1")]
            assert (keys, prefixes) == (want, []), (call, size, keys)
    got = s3.list_objects_v2(
        Bucket=bucket, Prefix="d/", Delimiter="/", StartAfter=level[3][0]
    )
    assert [c["Key"] for c in got["Contents"]] == [k for k, _ in level[4:]]
    assert s3.list_objects_v2(Bucket=bucket, Prefix="no/")["KeyCount"] == 0
    for key, data in files.items():
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == data
        head = s3.head_object(Bucket=bucket, Key=key)
        assert head["ContentLength"] == len(data)
        got = s3.get_object(Bucket=bucket, Key=key, Range="bytes=10-19",
                            IfMatch=head["ETag"])
        assert got["Body"].read() == data[10:20]
    s3.download_file(bucket, "top", os.path.join(sys.argv[4], "..", "down"))
    with open(os.path.join(sys.argv[4], "..", "down"), "rb") as f:
        assert f.read() == files["top"]
    url = s3.generate_presigned_url(
        "get_object", Params={"Bucket": bucket, "Key": "d/g/z"}
    )
    import urllib.request

    with urllib.request.urlopen(url) as f:
        assert f.read() == files["d/g/z"]
    for call, code in (
        (lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"abc"), 405),
        (lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"a" * 5000000), 405),
        (lambda: s3.delete_object(Bucket=bucket, Key="top"), 405),
        (lambda: s3.get_object(Bucket=bucket, Key="none"), 404),
        (lambda: s3.get_object(Bucket=bucket, Key="top", IfMatch="no"), 412),
        (lambda: s3.get_object(Bucket=bucket, Key="top",
                               Range="bytes=99999999-"), 416),
    ):
        try:
            call()
        except ClientError as e:
            got = e.response["ResponseMetadata"]["HTTPStatusCode"]
            assert got == code, e
        else:
            raise AssertionError(code)


def see_pyarrow(endpoint, bucket, files):
    from pyarrow import fs

    s3 = fs.S3FileSystem(
        endpoint_override=endpoint.split("//")[1],
        scheme="http",
        region="us-east-1",
        access_key="tarn",
        secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
    )
    got = s3.get_file_info(fs.FileSelector(bucket, recursive=True))
    seen = {i.path[len(bucket) + 1:]: i.size for i in got if i.is_file}
    assert seen == {k: len(v) for k, v in files.items()}, seen
    dirs = {i.path for i in got if not i.is_file}
    assert dirs == {bucket + "/d", bucket + "/d/e f"}, dirs
    got = s3.get_file_info(fs.FileSelector(bucket + "/d"))
    assert sorted(i.base_name for i in got) == ["a", "e f"], got
    for key, data in files.items():
        with s3.open_input_file(bucket + "/" + key) as f:
            assert f.size() == len(data)
            assert f.read_at(20, 50) == data[50:70]
        with s3.open_input_stream(bucket + "/" + key) as f:
            assert f.read() == data
    none = s3.get_file_info(bucket + "/none")
    assert none.type == fs.FileType.NotFound


def see_s3fs(endpoint, bucket, files):
    import s3fs

    s3 = s3fs.S3FileSystem(
        key="tarn",
        secret=os.environ["AWS_SECRET_ACCESS_KEY"],
        endpoint_url=endpoint,
    )
    names = sorted(p.split("/", 1)[1] for p in s3.find(bucket))
    assert names == sorted(files), names
    assert sorted(s3.ls(bucket, detail=False)) == [
        bucket + "/d", bucket + "/top"]
    assert s3.isdir(bucket + "/d") and s3.exists(bucket + "/top")
    assert not s3.exists(bucket + "/none")
    for key, data in files.items():
        assert s3.cat(bucket + "/" + key) == data
        with s3.open(bucket + "/" + key, "rb", block_size=1 << 20) as f:
            f.seek(50)
            assert f.read(20) == data[50:70]


if __name__ == "__main__":
    see = {"boto3": see_boto3, "pyarrow": see_pyarrow, "s3fs": see_s3fs}
    see[sys.argv[1]](sys.argv[2], sys.argv[3], files_below(sys.argv[4]))
