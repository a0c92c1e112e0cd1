#!/usr/bin/env python3
"""Times FAISS's residual quantizer with codebooks of two vectors on the shapes of the example `bench`.

    pip install numpy faiss-cpu
    python tests/reference/faiss_encode.py

It does the search of joint bits, with a beam of 8 and two threads. Each line has the least time in
milliseconds of the two forms of the search (`use_beam_LUT` 0 and 1).
"""
import time

import faiss
import numpy as np

SHAPES = [(65536, 8, 4), (65536, 64, 32), (16384, 256, 16), (16384, 512, 64), (16384, 128, 128)]
TRAINING_VECTORS = 4096


def main():
    faiss.omp_set_num_threads(2)
    random = np.random.default_rng(0)
    for vectors, features, num_bits in SHAPES:
        x = random.standard_normal((vectors, features)).astype("float32")
        quantizer = faiss.ResidualQuantizer(features, num_bits, 1)
        quantizer.max_beam_size = 8
        quantizer.train(x[:TRAINING_VECTORS])
        times = []
        for look_up in (0, 1):
            quantizer.use_beam_LUT = look_up
            start = time.perf_counter()
            quantizer.compute_codes(x)
            times.append(1e3 * (time.perf_counter() - start))
        print(f"{vectors} x {features} x {num_bits}: {min(times):.0f} ms", flush=True)


if __name__ == "__main__":
    main()
