#!/usr/bin/env python3
"""Reads codes of `bitcodes encode` with NumPy, safetensors and FAISS, and compares what they find with what we find.

    pip install numpy safetensors faiss-cpu
    cargo build --release
    python tests/interop/codes.py

The quantizer has 24 bits, as FAISS wants whole bytes. Fails at the first difference.
"""
import hashlib
import subprocess
import tempfile
from pathlib import Path

import faiss
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

ROOT = Path(__file__).parent.parent.parent
FEATURES, BITS, ROWS, QUERIES, NEIGHBORS = 16, 24, 20_000, 50, 10


def program(*arguments):
    call = [ROOT / "target/release/bitcodes", *map(str, arguments)]
    return subprocess.run(call, check=True, capture_output=True, text=True).stdout


def main():
    random = np.random.default_rng(0)
    codebook = random.standard_normal((2 * BITS, FEATURES)).astype(np.float32)
    x = random.standard_normal((ROWS, FEATURES)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        model, vectors = folder / "model.safetensors", folder / "x.npy"
        save_file({"codebook": codebook}, model)
        np.save(vectors, x)
        for name in ("codes.npy", "codes.safetensors"):
            program("encode", "--model", model, "--input", vectors, "--output", folder / name)

        # NumPy, and the reference's formula: a bit is 1 if the second vector of its pair has the larger product.
        codes = np.load(folder / "codes.npy")
        products = (x.astype(np.float64) @ codebook.T.astype(np.float64)).reshape(ROWS, BITS, 2)
        margin = products[..., 1] - products[..., 0]
        bits = np.unpackbits(codes, axis=1, count=BITS, bitorder="little")
        decided = np.abs(margin) > 1e-4
        assert (bits == (margin > 0))[decided].all(), "NumPy unpacks other bits"
        assert decided.mean() > 0.999

        # safetensors, with metadata.
        with safe_open(folder / "codes.safetensors", "np") as file:
            assert (file.get_tensor("codes") == codes).all(), "safetensors has other codes"
            texts = file.metadata()
        fingerprint = hashlib.sha256(codebook.astype("<f4").tobytes()).hexdigest()
        wanted = {"num_bits": str(BITS), "bit_order": "little", "fingerprint": fingerprint}
        assert texts == wanted, f"{texts}, expected {wanted}"

        # FAISS: the same distances to the nearest codes, and the same codes below the last distance, where no tie
        # is cut.
        index = faiss.IndexBinaryFlat(BITS)
        index.add(codes)
        distances, neighbors = index.search(codes[:QUERIES], NEIGHBORS)
        call = ["cargo", "run", "--release", "-q", "--example", "neighbors", "--", folder / "codes.npy", BITS]
        call += ["--queries", QUERIES, "--neighbors", NEIGHBORS]
        lines = subprocess.run([str(part) for part in call], cwd=ROOT, check=True, capture_output=True, text=True)
        ours = [[tuple(map(int, pair.split(":"))) for pair in line.split()] for line in lines.stdout.splitlines()]
        assert len(ours) == QUERIES, f"{len(ours)} lines"
        for query in range(QUERIES):
            last = distances[query][-1]
            faiss_pairs = set(zip(distances[query].tolist(), neighbors[query].tolist()))
            assert sorted(d for d, _ in ours[query]) == sorted(distances[query].tolist()), query
            assert {p for p in ours[query] if p[0] < last} == {p for p in faiss_pairs if p[0] < last}, query
    print(f"{ROWS} codes of {BITS} bits: NumPy, safetensors and FAISS agree; the same neighbors of {QUERIES} codes")


if __name__ == "__main__":
    main()
