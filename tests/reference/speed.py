#!/usr/bin/env python3
"""Times bitcodes-pytorch, and the fastest that plain PyTorch does the same, on the shapes of the
example `bench`, and sets the two side by side.

    pip install torch bitcodes-pytorch==0.0.1
    cargo run --release --example bench > ours.jsonl
    python tests/reference/speed.py ours.jsonl

Times are medians in milliseconds of forward in eval, of the same by hand, of decoding, and of forward
and backward of mean((y - x)^2). Ratios say how many times as long PyTorch takes. Machines are noisy:
run both in the same minutes, with as many threads.
"""
import argparse
import json
import math
import statistics
import time

import torch
from bitcodes_pytorch import Bitcodes

COLUMNS = ["forward", "forward by hand", "decode", "training step"]
OURS = ["eval_ms", "eval_ms", "decode_ms", "train_ms"]


def median_ms(run, repeats):
    # As the example does.
    start, warm_ups = time.perf_counter(), 0
    while warm_ups < 3 or time.perf_counter() - start < 0.1:
        run()
        warm_ups += 1
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def measure(shape, repeats):
    vectors, features, num_bits = shape
    module = Bitcodes(features, num_bits, 1)
    x = torch.randn(1, vectors, features)
    module.eval()
    with torch.inference_mode():
        pairs = module.codebook.view(num_bits, 2, features)
        delta, base = pairs[:, 1] - pairs[:, 0], pairs[:, 0].sum(0)
        rows = x[0]

        def by_hand():
            return torch.addmm(base, (rows @ delta.T > 0).float(), delta)

        quantized, bits = module(x)
        # But for bits that rounding decides.
        same = torch.isclose(by_hand(), quantized[0], atol=1e-3).all(-1)
        assert same.float().mean() > 0.99, "the two differ"
        times = [
            median_ms(lambda: module(x), repeats),
            median_ms(by_hand, repeats),
            median_ms(lambda: module.from_bits(bits), repeats),
        ]
    module.train()
    leaf = x.clone().requires_grad_()

    def step():
        loss = ((module(leaf)[0] - leaf) ** 2).mean()
        torch.autograd.grad(loss, [leaf, module.codebook])

    return times + [median_ms(step, repeats)]


def main():
    torch.manual_seed(1)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ours", help="what the example `bench` printed")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with open(args.ours) as lines:
        ours = [json.loads(line) for line in lines]
    ours = [row for row in ours if row["config"] == "reference"]
    print(f"| vectors x features x bits | {' | '.join(COLUMNS)} |")
    print("|---" * (1 + len(COLUMNS)) + "|")
    ratios = []
    for row in ours:
        shape = [row[key] for key in ("vectors", "features", "num_bits")]
        theirs = measure(shape, args.repeats)
        ratios.append([their / row[key] for their, key in zip(theirs, OURS)])
        cells = [
            f"{ratio:.1f} ({their:.2f} / {row[key]:.2f} ms)"
            for ratio, their, key in zip(ratios[-1], theirs, OURS)
        ]
        print(f"| {' x '.join(map(str, shape))} | {' | '.join(cells)} |", flush=True)
    means = [math.prod(column) ** (1 / len(column)) for column in zip(*ratios)]
    print(f"| geometric mean | {' | '.join(f'{mean:.1f}' for mean in means)} |")


if __name__ == "__main__":
    main()
