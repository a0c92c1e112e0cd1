#!/usr/bin/env python3
"""8x8 parts of pictures, in MNIST's format: makes the files of the folders beside it.

    pip install scikit-image pillow numpy; python make.py

16x16 crops of pictures that come inside scikit-image, averaged to 8x8; those to train on lie in the left
three quarters of each, those to test in the right quarter.
"""
import gzip, pathlib, struct
import numpy as np
from skimage import data

SETS = {
    # No choice has seen `pictures`. The numbers seed the crops.
    "patches": (3, (data.astronaut, data.camera, data.chelsea, data.coffee)),
    "pictures": (11, (data.brick, data.coins, data.gravel, data.hubble_deep_field, data.retina, data.rocket)),
}


def patches(r, pictures, count, left, right):
    out = []
    while len(out) < count:
        image = pictures[len(out) % len(pictures)]
        height, width = image.shape
        y, x = r.integers(0, height - 16), r.integers(int(left * width), int(right * width) - 16)
        crop = image[y : y + 16, x : x + 16].reshape(8, 2, 8, 2).mean((1, 3))
        out.append(np.clip(np.rint(crop), 0, 255).astype(np.uint8))
    return np.array(out)


def write(path, array):
    head = struct.pack(">BBBB", 0, 0, 8, array.ndim) + b"".join(struct.pack(">I", n) for n in array.shape)
    path.parent.mkdir(exist_ok=True)
    with gzip.GzipFile(path, "wb", mtime=0) as file:
        file.write(head + array.tobytes())


for name, (seed, loaders) in SETS.items():
    r = np.random.default_rng(seed)
    folder = pathlib.Path(__file__).parent / name
    images = (load() for load in loaders)
    pictures = [image.mean(-1) if image.ndim == 3 else image for image in images]
    for prefix, count, left, right in (("train", 1500, 0, 0.75), ("t10k", 300, 0.75, 1)):
        write(folder / f"{prefix}-images-idx3-ubyte.gz", patches(r, pictures, count, left, right))
        write(folder / f"{prefix}-labels-idx1-ubyte.gz", np.zeros(count, np.uint8))
