# SPDX-License-Identifier: Apache-2.0
"""What programs of training write: by themselves, and as their system calls.

Usage: training.py calls|programs|torch DIR TWIN SIM    write in both, compare
       training.py calls|programs|torch DIR TWIN        read both, compare

DIR is on a mount, TWIN a local directory, SIM the store's URL: what it was
sent may not be more than a file has, by the share that its case allows.
`programs` needs h5py, numpy, safetensors and pyarrow, `torch` PyTorch.
"""
import errno
import fcntl
import io
import mmap
import os
import random
import sys
import tarfile
import urllib.request

MIB = 1 << 20
noise = random.Random(7).randbytes(9 * MIB + 1)
KEEP_SIZE = 1


def piece(n, at=0):
    """n bytes that look like no others nearby."""
    at = at * 4099 % MIB
    if n > 8 * MIB:
        return (noise[at:] * (n // (8 * MIB) + 1))[:n]
    return noise[at:at + n]


def write_all(fd, data):
    while data:
        data = data[os.write(fd, data):]


def sync_folder(path):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(fd)
    os.close(fd)


def create(path, flags=os.O_WRONLY | os.O_TRUNC, mode=0o666):
    return os.open(path, flags | os.O_CREAT, mode)


# ---- as system calls ------------------------------------------------------

def torch_save(path):
    fd = create(path)
    for i, size in enumerate((64, 2 * MIB, 17 * MIB, 100, 9 * MIB, 17 * MIB,
                              5 * MIB + 3, 14 * MIB, 4096)):
        write_all(fd, piece(size, i))
    os.close(fd)


def torch_save_beside(path):
    torch_save(path + ".tmp")
    os.replace(path + ".tmp", path)


def distributed_checkpoint(path):
    os.makedirs(path, exist_ok=True)
    for rank in range(4):
        fd = create("%s/__%d_0.distcp" % (path, rank))
        for i in range(7):
            write_all(fd, piece(2 * MIB + rank, i + rank))
        os.fsync(fd)
        os.close(fd)
    fd = create(path + "/.metadata.tmp")
    write_all(fd, piece(30000))
    os.fsync(fd)
    os.close(fd)
    os.rename(path + "/.metadata.tmp", path + "/.metadata")
    sync_folder(path)


def safetensors(path):
    tmp = path[:path.rindex("/")] + "/.tmpQ8x1zV"
    fd = create(tmp, os.O_RDWR | os.O_EXCL, 0o600)
    os.ftruncate(fd, 8 + 500 + 50 * MIB)
    write_all(fd, piece(508))
    for i in range(25):
        write_all(fd, piece(2 * MIB, i))
    os.rename(tmp, path)
    os.close(fd)


def npy(path):
    fd = create(path)
    try:
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.fallocate(fd, KEEP_SIZE, ctypes.c_long(0),
                          ctypes.c_long(128 + 20 * MIB)) < 0:
            assert ctypes.get_errno() == errno.EOPNOTSUPP
    finally:
        write_all(fd, piece(128))
        write_all(fd, piece(20 * MIB, 1))
        os.close(fd)


def npz(path):
    fd = create(path, os.O_RDWR | os.O_TRUNC)
    write_all(fd, bytes(50))  # the member's header, not known yet
    for i in range(35):
        write_all(fd, piece(8 * MIB, i))
    end = os.lseek(fd, 0, os.SEEK_CUR)
    os.lseek(fd, 0, os.SEEK_SET)
    write_all(fd, piece(50))
    os.lseek(fd, end, os.SEEK_SET)
    write_all(fd, piece(120, 3))
    os.close(fd)


def hdf5(path):
    fd = create(path, os.O_RDWR | os.O_TRUNC)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    for i in range(16):
        os.pwrite(fd, piece(4 * MIB, i), 2048 + i * 4 * MIB)
    os.pwrite(fd, piece(328, 5), 800)
    assert os.pread(fd, 328, 800) == piece(328, 5)
    os.pwrite(fd, piece(544, 6), 96)
    os.pwrite(fd, piece(96, 7), 0)  # the superblock
    fcntl.flock(fd, fcntl.LOCK_UN)
    os.close(fd)


def hdf5_again(path):
    """A header of what is there: the rest is not sent again."""
    hdf5(path)
    fd = os.open(path, os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.pread(fd, 96, 0)
    os.pwrite(fd, piece(328, 8), 800)
    os.pwrite(fd, piece(96, 9), 0)
    os.close(fd)


def parquet(path):
    fd = create(path)
    for i in range(3000):
        write_all(fd, piece(1 + i * 37 % 9001, i))
    os.close(fd)


def tar(path):
    fd = create(path)
    for i in range(2000):
        write_all(fd, piece(10240, i))
    os.close(fd)


def read_mapped(path):
    """torch.load(mmap), safetensors"""
    if os.path.isdir(path):
        return [read_mapped(path + "/" + n) for n in sorted(os.listdir(path))]
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    with mmap.mmap(fd, 0, mmap.MAP_PRIVATE, mmap.PROT_READ) as m:
        data = bytes(m)
    os.close(fd)
    return data


def read_end_first(path):
    """zip, Parquet: what is where stands at the end."""
    fd = os.open(path, os.O_RDONLY)
    end = os.lseek(fd, 0, os.SEEK_END)
    tail = os.pread(fd, 65536, max(0, end - 65536))
    os.posix_fadvise(fd, 0, end, os.POSIX_FADV_WILLNEED)
    data = b"".join(os.pread(fd, MIB, at) for at in range(0, end, MIB))
    os.close(fd)
    assert data.endswith(tail)
    return data


# Name, writer, reader, and the most that is sent, of the file's bytes. A header
# that is written when its part is sent already costs that part once more: of
# files as these are in earnest that is little. Those that are opened again are
# committed twice, and the first part and the rest behind the last are sent then.
CALLS = [
    ("torch.pt", torch_save, read_end_first, 1.02),
    ("beside.pt", torch_save_beside, read_mapped, 1.02),
    ("dcp", distributed_checkpoint, read_mapped, 1.02),
    ("st.safetensors", safetensors, read_mapped, 1.02),
    ("a.npy", npy, read_mapped, 1.02),
    ("a.npz", npz, read_end_first, 1.02),
    ("a.h5", hdf5, read_mapped, 1.02),
    ("again.h5", hdf5_again, read_mapped, 1.15),
    ("a.parquet", parquet, read_end_first, 1.02),
    ("a.tar", tar, read_mapped, 1.02),
]


# ---- the programs themselves ----------------------------------------------

def programs():
    import h5py
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    import safetensors.numpy as st

    def array(n, seed=1):
        return np.frombuffer(piece(n, seed), dtype=np.uint8)

    def same(a, b):
        assert np.array_equal(a, b)
        return True

    def h5_write(path):
        with h5py.File(path, "w") as f:
            for i in range(8):
                f.create_dataset("d%d" % i, data=array(8 * MIB, i))
            f.attrs["epoch"] = 3

    def h5_append(path):
        h5_write(path)
        with h5py.File(path, "a") as f:
            f.attrs["epoch"] = 4

    def h5_read(path):
        with h5py.File(path, "r") as f:
            for i in range(8):
                same(f["d%d" % i][:], array(8 * MIB, i))
            return int(f.attrs["epoch"])

    def table():
        return pa.table({"i": list(range(200000)),
                         "b": [piece(50, i) for i in range(200000)]})

    def wds_write(path):
        with tarfile.open(path, "w") as t:
            for i in range(300):
                for ext, n in (("jpg", 40000 + i), ("cls", 3)):
                    info = tarfile.TarInfo("%06d.%s" % (i, ext))
                    info.size = n
                    t.addfile(info, io.BytesIO(piece(n, i)))

    def wds_read(path):
        with tarfile.open(path, "r|") as t:
            return [(m.name, t.extractfile(m).read()) for m in t]

    def tensors():
        return {"w": array(60 * MIB).reshape(-1, 1024), "b": array(999, 2)}

    def st_read(path):
        got = st.load_file(path)
        return all(same(got[n], v) for n, v in tensors().items())

    def npz_read(path):
        with np.load(path) as z:
            return same(z["x"], array(70 * MIB))

    return [
        ("p.npy", lambda p: np.save(p, array(40 * MIB)),
         lambda p: same(np.load(p, mmap_mode="r"), array(40 * MIB)), 1.02),
        ("p.npz", lambda p: np.savez(p, x=array(70 * MIB)), npz_read, 1.08),
        ("p.safetensors", lambda p: st.save_file(tensors(), p), st_read, 1.02),
        ("p.h5", h5_write, h5_read, 1.02),
        ("append.h5", h5_append, h5_read, 1.15),
        ("p.parquet", lambda p: pq.write_table(table(), p),
         lambda p: pq.read_table(p).equals(table()), 1.02),
        ("p.tar", wds_write, wds_read, 1.02),
    ]


def torch_programs():
    import warnings

    import torch
    import torch.distributed.checkpoint as dcp

    warnings.filterwarnings("ignore")

    def state():
        return {"layer%d" % i: torch.frombuffer(bytearray(piece(n, i)),
                                                dtype=torch.uint8)
                for i, n in enumerate((17 * MIB, 64, 2 * MIB, 9 * MIB, 5000,
                                       17 * MIB, 14 * MIB))}

    def same(got):
        assert sorted(got) == sorted(state())
        assert all(torch.equal(got[n], v) for n, v in state().items())
        return True

    def beside(path):
        torch.save(state(), path + ".tmp")
        os.replace(path + ".tmp", path)

    def dcp_read(path):
        got = {n: torch.zeros_like(v) for n, v in state().items()}
        dcp.load(got, checkpoint_id=path, no_dist=True)
        return same(got)

    return [
        ("t.pt", lambda p: torch.save(state(), p),
         lambda p: same(torch.load(p)), 1.02),
        ("beside.pt", beside,
         lambda p: same(torch.load(p, mmap=True)), 1.02),
        ("t.dcp", lambda p: dcp.save(state(), checkpoint_id=p, no_dist=True),
         dcp_read, 1.02),
    ]


# ---- both, compared -------------------------------------------------------

def content(path):
    if os.path.isdir(path):
        return {n: content(path + "/" + n) for n in os.listdir(path)}
    with open(path, "rb") as f:
        return f.read()


def size_of(c):
    return sum(map(size_of, c.values())) if isinstance(c, dict) else len(c)


def received(sim):
    with urllib.request.urlopen(sim + "/_sim/received", timeout=60) as r:
        return int(r.read())


def main(what, there, twin, sim=None):
    cases = {"calls": lambda: CALLS, "programs": programs,
             "torch": torch_programs}
    for name, write, read, most in cases[what]():
        if sim is None:
            assert read(there + "/" + name) == read(twin + "/" + name), name
            continue
        write(twin + "/" + name)
        before = received(sim)
        write(there + "/" + name)
        sent = received(sim) - before
        wanted = content(twin + "/" + name)
        # What PyTorch writes twice differs in the ids that it makes up.
        if what == "torch":
            assert read(there + "/" + name)
        else:
            assert content(there + "/" + name) == wanted, name
        assert sorted(os.listdir(there)) == sorted(os.listdir(twin)), name
        share = sent / size_of(wanted)
        print("%-16s %.4f" % (name, share), flush=True)
        assert share <= most, "%s: %d bytes sent of %d" % (
            name, sent, size_of(wanted))


main(*sys.argv[1:])
