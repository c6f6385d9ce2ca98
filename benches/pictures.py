#!/usr/bin/env python3
"""Decoding a folder of small PNG files with the Python imaging library, as a careful user would; prints the seconds.

    python benches/pictures.py make FOLDER [--count 20000]     ten class folders of 32 x 32 colour pictures
    python benches/pictures.py decode FOLDER                   all of them into one array [n, 3, 32, 32], one thread
"""
import argparse
import os
import time

import numpy as np
from PIL import Image


def make(folder, count):
    """Smooth colours with noise, so that the files are about as large (2.5 kB) as those of CINIC-10."""
    random = np.random.default_rng(0)
    for number in range(count):
        place = os.path.join(folder, f"class{number % 10}")
        os.makedirs(place, exist_ok=True)
        coarse = Image.fromarray(random.integers(0, 256, (4, 4, 3), dtype=np.uint8)).resize((32, 32), Image.BILINEAR)
        noisy = np.asarray(coarse).astype(int) + random.integers(-8, 9, (32, 32, 3))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(os.path.join(place, f"{number:06}.png"))


def decode(folder):
    files = [os.path.join(root, name) for root, _, names in sorted(os.walk(folder)) for name in sorted(names)]
    images = np.empty((len(files), 3, 32, 32), dtype=np.uint8)
    for row, file in enumerate(files):
        with Image.open(file) as picture:
            images[row] = np.asarray(picture.convert("RGB")).transpose(2, 0, 1)
    return images


parser = argparse.ArgumentParser()
parser.add_argument("work", choices=["make", "decode"])
parser.add_argument("folder")
parser.add_argument("--count", type=int, default=20_000)
options = parser.parse_args()
started = time.perf_counter()
if options.work == "make":
    make(options.folder, options.count)
else:
    decode(options.folder)
print(f"{time.perf_counter() - started:.4f}")
