#!/usr/bin/env python3
"""The toy autoencoder with the reference in it: what `bitcodes train` is compared with.

    pip install torch bitcodes-pytorch==0.0.1
    python tests/reference/autoencoder.py --seeds 24

Reads the digits of bitcodes-train. The architecture is that of `mixer.rs` and `autoencoder.rs`, the
training that of `train.rs`; the weights are PyTorch's defaults, which are Burn's as well.
"""
import argparse
import gzip
import math
import pathlib
import statistics
import time

import torch
from bitcodes_pytorch import Bitcodes
from torch import nn
from torch.nn import functional as F

DIGITS = pathlib.Path(__file__).parents[2] / "crates/bitcodes-train/data/digits"
SIDE, PATCH, WIDTH, FEATURES = 8, 4, 128, 16
GRID = SIDE // PATCH
TOKENS = GRID * GRID


def read_images(name):
    packed = gzip.decompress((DIGITS / f"{name}-images-idx3-ubyte.gz").read_bytes())
    pixels = torch.frombuffer(bytearray(packed[16:]), dtype=torch.uint8)
    return pixels.reshape(-1, SIDE, SIDE).float() / 255


def mlp(size, hidden):
    return nn.Sequential(nn.Linear(size, hidden), nn.GELU(), nn.Linear(hidden, size))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm_tokens, self.norm_width = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.over_tokens, self.over_width = mlp(TOKENS, 4 * TOKENS), mlp(WIDTH, 2 * WIDTH)

    def forward(self, x):
        x = x + self.over_tokens(self.norm_tokens(x).mT).mT
        return x + self.over_width(self.norm_width(x))


class Mixer(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.embed = nn.Linear(inputs, WIDTH)
        self.position = nn.Parameter(0.02 * torch.randn(TOKENS, WIDTH))
        self.rest = nn.Sequential(Block(), Block(), nn.LayerNorm(WIDTH), nn.Linear(WIDTH, outputs))

    def forward(self, x):
        return self.rest(self.embed(x) + self.position)


class Autoencoder(nn.Module):
    def __init__(self, bits, temperature):
        super().__init__()
        self.encoder, self.decoder = Mixer(PATCH * PATCH, FEATURES), Mixer(FEATURES, PATCH * PATCH)
        self.quantizer = Bitcodes(FEATURES, bits, temperature)

    def forward(self, images):
        patches = images.unflatten(2, (GRID, PATCH)).unflatten(1, (GRID, PATCH)).transpose(2, 3)
        y, _ = self.quantizer(self.encoder(patches.flatten(3).flatten(1, 2)))
        patches = self.decoder(y).sigmoid().unflatten(1, (GRID, GRID)).unflatten(3, (PATCH, PATCH))
        return patches.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def train(images, seed, args):
    torch.manual_seed(seed)
    model = Autoencoder(args.bits, args.temperature)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    steps = args.epochs * math.ceil(len(images) / 64)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(args.epochs):
        for batch in images[torch.randperm(len(images))].split(64):
            optimizer.zero_grad()
            F.mse_loss(model(batch), batch).backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bits", type=int, default=8)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    images, test = read_images("train"), read_images("t10k")
    ratios = []
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        start = time.perf_counter()
        model = train(images, seed, args)
        seconds = time.perf_counter() - start
        with torch.no_grad():
            ratios.append(-10 * math.log10(F.mse_loss(model(test), test).item()))
        print(f"seed {seed}   test PSNR {ratios[-1]:.2f} dB   {seconds:.1f} s", flush=True)
    print(f"median {statistics.median(ratios):.2f} dB ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
