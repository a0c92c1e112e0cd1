#!/usr/bin/env python3
"""Writes the forms in which Python keeps codes and codebooks, for the tests of what reads them.

    pip install torch numpy safetensors
    python forms.py            # in this folder; reads words.safetensors

    packbits/bits.npy          u8 [n, 37], 0 or 1
    packbits/packed.npy        u8 [n, 5], numpy.packbits(bits, axis=1, bitorder="little")
    checkpoints/nested.pt      a training's checkpoint, with the quantizer deep in the model
    checkpoints/strided.pt     the codebook as a transposed view, not at the start of its storage
    checkpoints/half.pt        the codebook in float16, as a Parameter
    checkpoints/bfloat16.safetensors, checkpoints/double.safetensors
    checkpoints/two.safetensors    two codebooks

Every codebook is that of words.safetensors, rounded where the type is narrower.
"""
import pathlib

import numpy
import torch
from safetensors.torch import load_file, save_file

here = pathlib.Path(__file__).parent
codebook = load_file(here / "words.safetensors")["codebook"]

packbits = here / "packbits"
packbits.mkdir(exist_ok=True)
bits = numpy.random.default_rng(20261124).integers(0, 2, (23, 37), dtype=numpy.uint8)
numpy.save(packbits / "bits.npy", bits)
numpy.save(packbits / "packed.npy", numpy.packbits(bits, axis=1, bitorder="little"))

checkpoints = here / "checkpoints"
checkpoints.mkdir(exist_ok=True)


class Quantizer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.codebook = torch.nn.Parameter(codebook.clone())


class Tokenizer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
        self.quantizer = Quantizer()


torch.manual_seed(1)
model = Tokenizer()
optimizer = torch.optim.AdamW(model.encoder.parameters(), betas=(0.9, 0.95))
model.encoder(torch.randn(5, 3)).sum().backward()
optimizer.step()
training = {
    "epoch": 3,
    "model": model.state_dict(),
    "optimizer": optimizer.state_dict(),
    "best": float("-inf"),
    "args": {"name": "tokenizer", "layers": [1, 2], "resume": None, "seed": 1 << 40},
}
torch.save(training, checkpoints / "nested.pt")

rows, features = codebook.shape
storage = torch.full((features + 2, rows), 7.0)
storage[1:-1] = codebook.T
view = storage[1:-1].T
assert view.stride() == (1, rows) and view.storage_offset() == rows
torch.save({"codebook": view}, checkpoints / "strided.pt")
torch.save({"codebook": torch.nn.Parameter(codebook.half())}, checkpoints / "half.pt")
save_file({"codebook": codebook.bfloat16()}, checkpoints / "bfloat16.safetensors")
save_file({"codebook": codebook.double()}, checkpoints / "double.safetensors")
both = {"coarse.codebook": codebook.clone(), "fine.codebook": codebook.clone()}
save_file(both, checkpoints / "two.safetensors")
