#!/usr/bin/env python3
"""Compares joint bits with FAISS's residual quantizer, which does the same search.

    pip install numpy faiss-cpu
    python tests/reference/compare_faiss.py

Runs the example `bench`, and gives FAISS the same vectors (normalized), the same codebook, a beam of 8 and
two threads. Each line has both times of encoding in milliseconds, their ratio, and both mean squared
errors. FAISS's time is the median of three calls after a warm-up, for the faster of the two forms of its
search (`use_beam_LUT` 0 and 1). Fails if
FAISS's error is below ours by more than rounding.
"""
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import faiss
import numpy as np

BENCH = ["cargo", "run", "--release", "--example", "bench", "--", "--config", "new", "--threads", "2"]


def faiss_codes(z, codebook):
    """Returns the least time in ms, and the bits `[vectors, num_bits]`."""
    vectors, features = z.shape
    num_bits = len(codebook) // 2
    quantizer = faiss.ResidualQuantizer(features, num_bits, 1)
    quantizer.max_beam_size = 8
    faiss.copy_array_to_vector(codebook.ravel(), quantizer.codebooks)
    quantizer.is_trained = True
    quantizer.compute_codebook_tables()
    best = math.inf
    for look_up in (0, 1):
        quantizer.use_beam_LUT = look_up
        times = []
        for _ in range(4):
            start = time.perf_counter()
            packed = quantizer.compute_codes(z)
            times.append(1e3 * (time.perf_counter() - start))
        elapsed = float(np.median(times[1:]))
        if elapsed < best:
            best, codes = elapsed, packed
    return best, np.unpackbits(codes, axis=1, bitorder="little")[:, :num_bits]


def error(z, codebook, bits):
    zeros, ones = codebook[0::2].astype("float64"), codebook[1::2].astype("float64")
    decoded = zeros.sum(0) + bits.astype("float64") @ (ones - zeros)
    return float(np.mean((z - decoded) ** 2))


def main():
    faiss.omp_set_num_threads(2)
    ratios, is_worse = [], False
    with tempfile.TemporaryDirectory() as folder:
        output = subprocess.run([*BENCH, "--save", folder], check=True, capture_output=True, text=True).stdout
        for row in map(json.loads, output.splitlines()):
            vectors, features, num_bits = row["vectors"], row["features"], row["num_bits"]
            base = Path(folder, f"{vectors}x{features}x{num_bits}-new")
            z = np.fromfile(base.with_suffix(".x"), "<f4").reshape(vectors, features)
            codebook = np.fromfile(base.with_suffix(".codebook"), "<f4").reshape(-1, features)
            codes = np.fromfile(base.with_suffix(".codes"), "u1").reshape(vectors, -1)
            ours = np.unpackbits(codes, axis=1, bitorder="little")[:, :num_bits]
            theirs_ms, theirs = faiss_codes(z, codebook)
            ours_ms = row["encode_packed_ms"]
            ratios.append(theirs_ms / ours_ms)
            errors = [error(z, codebook, bits) for bits in (ours, theirs)]
            is_worse |= errors[0] > errors[1] * (1 + 1e-4)
            print(
                f"{vectors} x {features} x {num_bits}: ours {ours_ms:.2f} ms, FAISS {theirs_ms:.0f} ms: ours "
                f"is {ratios[-1]:.0f} times as fast; error {errors[0]:.6f}, FAISS {errors[1]:.6f}",
                flush=True,
            )
    print(f"geometric mean: ours is {math.exp(np.mean(np.log(ratios))):.0f} times as fast")
    sys.exit("our error is above FAISS's" if is_worse else 0)


if __name__ == "__main__":
    main()
