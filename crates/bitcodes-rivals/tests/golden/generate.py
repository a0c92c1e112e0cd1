#!/usr/bin/env python3
"""Writes the results of vector-quantize-pytorch's quantizers for three batches, for tests/parity.rs.

    pip install torch safetensors vector-quantize-pytorch==1.32.0
    python generate.py
"""
import pathlib

import torch
from safetensors.torch import save_file
from vector_quantize_pytorch import FSQ, LFQ, ResidualVQ
from vector_quantize_pytorch.vector_quantize_pytorch import kmeans

FEATURES, ROWS, STEPS = 16, 48, 3
HERE = pathlib.Path(__file__).parent


def steps(module, tensors, after=lambda step: None):
    """Records three training steps: the outputs, and the gradient of a weighted sum of outputs and loss."""
    module.train()
    for step in range(STEPS):
        x = (0.4 * torch.randn(1, ROWS, FEATURES)).requires_grad_()
        weight = torch.randn(1, ROWS, FEATURES)
        result = module(x)
        loss = result[2].sum() if len(result) > 2 else torch.zeros(())
        ((result[0] * weight).sum() + loss).backward()
        tensors |= {
            f"{step}.x": x.detach()[0],
            f"{step}.weight": weight[0],
            f"{step}.vectors": result[0].detach()[0],
            f"{step}.gradient": x.grad[0],
            f"{step}.loss": loss.detach().reshape(1),
            f"{step}.indices": result[1].reshape(ROWS, -1).to(torch.int64),
        }
        after(step)
    module.eval()
    with torch.no_grad():
        tensors["quantized"] = module(x)[0][0]
    return tensors


def linear(module, name):
    return {f"{name}.weight": module.weight.detach().T, f"{name}.bias": module.bias.detach()}


def save(name, tensors):
    save_file({key: value.contiguous().clone() for key, value in tensors.items()}, HERE / f"{name}.safetensors")


def vector():
    torch.manual_seed(0)
    module = ResidualVQ(dim=FEATURES, num_quantizers=3, codebook_size=8, commitment_weight=0.25)
    tensors = {}
    for index, layer in enumerate(module.layers):
        book = layer._codebook
        book.embed.copy_(0.4 * torch.randn_like(book.embed) / (index + 1))
        book.embed_avg.copy_(book.embed)
        tensors[f"codebook.{index}"] = book.embed[0].clone()

    def after(step):
        for index, layer in enumerate(module.layers):
            tensors[f"{step}.codebook.{index}"] = layer._codebook.embed[0].clone()

    save("vector", steps(module, tensors, after))


def k_means():
    torch.manual_seed(1)
    rows = torch.randn(1, ROWS, FEATURES)
    means, counts = kmeans(rows, 8, num_iters=10, sample_fn=lambda samples, number: samples[:, :number])
    save("k_means", {"rows": rows[0], "means": means[0], "counts": counts[0]})


def scalar():
    torch.manual_seed(2)
    levels = [8, 6, 5]
    module = FSQ(levels=levels, dim=FEATURES)
    tensors = linear(module.project_in, "project_in") | linear(module.project_out, "project_out")
    # Make the numbers large enough that all levels are used.
    with torch.no_grad():
        module.project_in.weight.mul_(4)
    tensors |= linear(module.project_in, "project_in")
    steps(module, tensors)
    for step in range(STEPS):
        key = f"{step}.indices"
        tensors[key] = module.indices_to_level_indices(tensors[key][:, 0])
    save("scalar", tensors)


def lookup_free(name, seed, entropy, size):
    torch.manual_seed(seed)
    module = LFQ(dim=FEATURES, codebook_size=2**8, entropy_loss_weight=entropy, commitment_loss_weight=0.05)
    # Make the numbers small enough that the probabilities are not all 0 or 1.
    with torch.no_grad():
        module.project_in.weight.mul_(size)
        module.project_in.bias.mul_(size)
    tensors = linear(module.project_in, "project_in") | linear(module.project_out, "project_out")
    steps(module, tensors)
    for step in range(STEPS):
        key = f"{step}.indices"
        tensors[key] = (tensors[key] & module.mask).ne(0).to(torch.int64)
    save(name, tensors)


vector()
k_means()
scalar()
lookup_free("lookup_free", 3, 0.0, 1.0)
lookup_free("lookup_free_entropy", 4, 0.1, 0.01)
