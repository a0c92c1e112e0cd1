#!/usr/bin/env python3
"""Times `bitcodes encode` and `bitcodes decode` on a file larger than a program may keep in memory.

    pip install numpy
    cargo build --release
    python tests/interop/stream.py            # 10,000,000 vectors, 2.4 GiB, in a temporary folder
    python tests/interop/stream.py 100000     # fewer

Each line has seconds and the largest resident memory in MiB. Reading and writing alone, in blocks of 4 MiB and with
fsync, are the bounds. The codes are compared with those of parts of the file, and the file is in the system's cache.
"""
import json
import multiprocessing
import os
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

FEATURES, BITS = 64, 32
PROGRAM = Path(__file__).parent.parent.parent / "target/release/bitcodes"


def run(*arguments):
    """Runs the program, and returns its time in seconds and its largest memory in MiB."""
    start = time.perf_counter()
    child = subprocess.Popen([PROGRAM, *map(str, arguments)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        sys.exit(f"{arguments}: status {status}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def say(what, seconds, mebibytes=None):
    memory = "" if mebibytes is None else f"  {mebibytes:6.0f} MiB"
    print(f"{what:24} {seconds:7.2f} s{memory}", flush=True)


def write_model(path, codebook, config):
    metadata = {"format": "pt"}
    if config:
        metadata |= {"bitcodes": json.dumps(config), "bitcodes.step": "0"}
    entry = {"dtype": "F32", "shape": codebook.shape, "data_offsets": [0, codebook.nbytes]}
    header = json.dumps({"__metadata__": metadata, "codebook": entry}).encode()
    header += b" " * (-len(header) % 8)
    path.write_bytes(struct.pack("<Q", len(header)) + header + codebook.tobytes())


def make_vectors(path, count):
    random = np.random.default_rng(1)
    x = np.lib.format.open_memmap(path, "w+", "<f4", (count, FEATURES))
    for start in range(0, count, 1 << 18):
        here = x[start : start + (1 << 18)]
        here[:] = random.standard_normal(here.shape, dtype=np.float32)
    x.flush()


def read_alone(path):
    block = bytearray(4 << 20)
    start = time.perf_counter()
    with open(path, "rb", buffering=0) as file:
        while file.readinto(block):
            pass
    return time.perf_counter() - start


def write_alone(path, size):
    block = bytes(4 << 20)
    start = time.perf_counter()
    with open(path, "wb", buffering=0) as file:
        for _ in range(-(-size // len(block))):
            file.write(block)
        os.fsync(file.fileno())
    seconds = time.perf_counter() - start
    path.unlink()
    return seconds


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(dir=".") as folder:
        folder = Path(folder)
        # In a process of its own, as a child's largest memory counts from what its parent had.
        maker = multiprocessing.get_context("spawn").Process(target=make_vectors, args=(folder / "x.npy", count))
        maker.start()
        maker.join()
        codebook = (random.standard_normal((2 * BITS, FEATURES)) * 0.3).astype("<f4")
        joint = {
            "features": FEATURES, "num_bits": BITS, "normalize": False, "diversity": 1.0,
            "assignment": {"method": "joint", "beam": 8}, "noise_scale": 0.02,
            "commitment_weight": 0.25, "codebook_weight": 1.0, "entropy_weight": 0.0,
        }
        write_model(folder / "joint.safetensors", codebook, joint)
        write_model(folder / "independent.safetensors", codebook, None)

        vectors = folder / "x.npy"
        read_alone(vectors)
        say("read the vectors", read_alone(vectors))
        say("write and sync vectors", write_alone(folder / "written", vectors.stat().st_size))
        for method in ("joint", "independent"):
            model = folder / f"{method}.safetensors"
            codes, part, back = (folder / f"{name}.npy" for name in ("codes", "part", "back"))
            for _ in range(3):
                say(f"encode, {method}", *run("encode", "--model", model, "--input", vectors, "--output", codes))
            middle = count // 2
            rows = f"{middle}..{middle + 1000}"
            run("encode", "--model", model, "--input", vectors, "--output", part, "--rows", rows)
            whole = np.load(codes, mmap_mode="r")
            assert whole.shape == (count, BITS // 8), whole.shape
            assert (whole[middle : middle + 1000] == np.load(part)).all(), "a part differs from the whole"
            for _ in range(2):
                say(f"decode, {method}", *run("decode", "--model", model, "--input", codes, "--output", back))
                back.unlink()
            del whole


if __name__ == "__main__":
    main()
