#!/usr/bin/env python3
"""Writes the small data sets of this folder in the formats of the originals, with the libraries that others use for them.

    python3 -m venv v && v/bin/pip install numpy scipy pillow && v/bin/python make.py

Pixel (n, channel, row, column) of every image is (31 n + 7 channel + 3 row + 5 column) mod 256, so that a reader that swaps
any two of them is found out.
"""
import gzip, io, os, pickle, struct, tarfile
import numpy as np
import scipy.io
from PIL import Image

here = os.path.dirname(os.path.abspath(__file__))


def images(start, count, channels=3, side=32):
    n, c, r, k = np.ogrid[start:start + count, 0:channels, 0:side, 0:side]
    return ((31 * n + 7 * c + 3 * r + 5 * k) % 256).astype(np.uint8)


def folder(*names):
    path = os.path.join(here, *names)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return path


def archive(name, members):
    """A gzipped tar archive with folder entries, as GNU tar writes them, without times."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as tar:
        folders = []
        for path, content in members:
            top = os.path.dirname(path)
            if top and top not in folders:
                folders.append(top)
                entry = tarfile.TarInfo(top + "/")
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(entry)
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    with open(folder(*name), "wb") as file:
        file.write(gzip.compress(raw.getvalue(), 9, mtime=0))


class Python2(pickle._Pickler):
    """Protocol 2 as Python 2 wrote it: strings are byte strings, NumPy's content is one of them."""
    dispatch = dict(pickle._Pickler.dispatch)

    def save_string(self, obj):
        raw = obj.encode("latin1") if isinstance(obj, str) else obj
        if len(raw) < 256:
            self.write(pickle.SHORT_BINSTRING + struct.pack("<B", len(raw)) + raw)
        else:
            self.write(pickle.BINSTRING + struct.pack("<i", len(raw)) + raw)
        self.memoize(obj)

    dispatch[str] = save_string
    dispatch[bytes] = save_string

    def save_global(self, obj, name=None):
        module = getattr(obj, "__module__", "")
        if getattr(obj, "__name__", "") == "_reconstruct":
            self.write(b"cnumpy.core.multiarray\n_reconstruct\n")
            self.memoize(obj)
        elif module == "numpy":
            self.write(b"cnumpy\n" + obj.__name__.encode() + b"\n")
            self.memoize(obj)
        else:
            super().save_global(obj, name)

    dispatch[type(len)] = save_global
    dispatch[type] = save_global


def python2(value):
    out = io.BytesIO()
    Python2(out, 2).dump(value)
    return out.getvalue()


def cifar():
    batches = [(f"data_batch_{i + 1}", 4 * i, 4) for i in range(5)] + [("test_batch", 20, 6)]
    binary, pickles = [], []
    for name, start, count in batches:
        pixels, labels = images(start, count).reshape(count, 3072), [(start + i) * 3 % 10 for i in range(count)]
        binary.append((f"cifar-10-batches-bin/{name}.bin",
                       b"".join(bytes([y]) + x.tobytes() for x, y in zip(pixels, labels))))
        batch = {"batch_label": f"batch {name}", "labels": labels, "data": pixels,
                 "filenames": [f"image_{start + i}.png" for i in range(count)]}
        raw = python2(batch)
        back = pickle.loads(raw, encoding="bytes")
        assert back[b"labels"] == labels and (back[b"data"] == pixels).all() and b"_codecs" not in raw
        pickles.append((f"cifar-10-batches-py/{name}", raw))
    meta = "\n".join("airplane automobile bird cat deer dog frog horse ship truck".split()) + "\n\n"
    archive(("cifar10", "cifar-10-binary.tar.gz"),
            [("cifar-10-batches-bin/batches.meta.txt", meta.encode())] + binary
            + [("cifar-10-batches-bin/readme.html", b"<html></html>")])
    meta = python2({"num_cases_per_batch": 4, "label_names": meta.split(), "num_vis": 3072})
    archive(("cifar10", "cifar-10-python.tar.gz"), [("cifar-10-batches-py/batches.meta", meta)] + pickles[::-1])

    binary, pickles = [], []
    for name, start, count in [("train", 0, 20), ("test", 20, 6)]:
        pixels = images(start, count).reshape(count, 3072)
        fine, coarse = [(start + i) * 7 % 100 for i in range(count)], [(start + i) % 20 for i in range(count)]
        binary.append((f"cifar-100-binary/{name}.bin",
                       b"".join(bytes([c, f]) + x.tobytes() for x, c, f in zip(pixels, coarse, fine))))
        pickles.append((f"cifar-100-python/{name}",
                        python2({"filenames": ["x"] * count, "batch_label": "training batch 1 of 1",
                                 "fine_labels": fine, "coarse_labels": coarse, "data": pixels})))
    archive(("cifar100", "cifar-100-binary.tar.gz"), binary)
    archive(("cifar100", "cifar-100-python.tar.gz"), pickles + [("cifar-100-python/file.txt~", b"")])
    # Python 3 writes the same dictionary in other opcodes.
    pixels = images(0, 3).reshape(3, 3072)
    newer = {b"labels": [0, 3, 6], b"data": np.asfortranarray(pixels)}
    with open(folder("cifar10", "python3.pickle"), "wb") as file:
        pickle.dump(newer, file, protocol=4)


def matlab():
    for name, start, count, kind in [("train", 0, 30, np.uint8), ("test", 30, 12, np.float64)]:
        pixels = images(start, count).transpose(2, 3, 1, 0)
        labels = np.array([[(start + i) % 10 or 10] for i in range(count)], dtype=kind)
        scipy.io.savemat(folder("svhn", f"{name}_32x32.mat"), {"X": pixels, "y": labels}, do_compression=True)
    small = {"y": np.array([[1], [10], [9]], dtype=np.uint8), "other": np.arange(5.0),
             "X": images(0, 3).transpose(2, 3, 1, 0)}
    scipy.io.savemat(folder("matlab", "small.mat"), small, do_compression=True)
    values = {"i8": np.int8, "u16": np.uint16, "i16": np.int16, "i32": np.int32, "u32": np.uint32, "i64": np.int64,
              "u64": np.uint64, "f32": np.float32, "f64": np.float64}
    types = {name: np.array([[0, 100], [7 if name[0] == "u" else -7, 3]], dtype=kind) for name, kind in values.items()}
    scipy.io.savemat(folder("matlab", "types-compressed.mat"), types, do_compression=True)
    scipy.io.savemat(folder("matlab", "types-plain.mat"), types)
    cell = np.empty(2, dtype=object)
    cell[0], cell[1] = "a", 1.0
    scipy.io.savemat(folder("matlab", "others.mat"), {"complex": np.array([1 + 2j]), "cell": cell, "half": np.array([0.5])})


def png(array):
    out = io.BytesIO()
    Image.fromarray(array).save(out, "PNG")
    return out.getvalue()


def cinic():
    classes = "airplane automobile bird cat deer dog frog horse ship truck".split()
    members, number = [("README", b"CINIC-10\n")], 0
    for part in ["valid", "test", "train"]:
        for k, name in reversed(list(enumerate(classes))):
            # Within a folder, the order of an archive is not that of the names.
            for file in ["n02_2.png", "cifar10-train-1.png"]:
                members.append((f"{part}/{name}/{file}", png(images(number, 1)[0].transpose(1, 2, 0))))
                number += 1
    archive(("cinic10", "CINIC-10.tar.gz"), members)


def pictures():
    color = Image.fromarray(images(3, 1, side=12)[0].transpose(1, 2, 0))
    alpha = color.convert("RGBA")
    alpha.putalpha(Image.fromarray(images(9, 1, channels=1, side=12)[0, 0]))
    grey = Image.fromarray(images(5, 1, channels=1, side=12)[0, 0])
    files = {"rgb.png": color, "rgba.png": alpha, "grey.png": grey, "grey-alpha.png": alpha.convert("LA"),
             "palette.png": color.quantize(16), "bits.png": grey.convert("1"),
             "rgb.jpg": color.resize((24, 24), Image.BILINEAR), "grey.jpg": grey}
    expected = {}
    for name, picture in files.items():
        picture.save(folder("pictures", name), **({"quality": 95} if name.endswith("jpg") else {}))
        back = Image.open(folder("pictures", name))
        expected[name + "/rgb"] = np.asarray(back.convert("RGB")).transpose(2, 0, 1)
        expected[name + "/grey"] = np.asarray(back.convert("RGB").convert("L"))[None]
        expected[name + "/small"] = np.asarray(back.convert("RGB").resize((7, 9), Image.BILINEAR)).transpose(2, 0, 1)
    np.savez_compressed(folder("pictures", "expected.npz"), **{k.replace("/", "_"): v for k, v in expected.items()})


def kinds():
    """One smooth picture in every kind of file that is read."""
    r, c = np.mgrid[0:24, 0:40]
    waves = [128 + 100 * np.sin(r / 5 + 0.3 * k) * np.cos(c / (6 + k)) for k in range(3)]
    color = Image.fromarray(np.stack(waves, 2).round().astype(np.uint8))
    grey, other = color.convert("L"), color.transpose(Image.FLIP_LEFT_RIGHT)
    more = {"save_all": True, "append_images": [other]}
    files = {
        "baseline.jpg": (color, {}), "full.jpg": (color, {"subsampling": 0}), "half.jpg": (color, {"subsampling": 1}),
        "progressive.jpg": (color, {"progressive": True}), "restarts.jpg": (color, {"restart_marker_blocks": 2}),
        "both.jpg": (color, {"progressive": True, "restart_marker_rows": 1}), "grey.jpg": (grey, {}),
        "grey-progressive.jpg": (grey, {"progressive": True}), "cmyk.jpg": (color.convert("CMYK"), {}),
        "plain.bmp": (color, {}), "palette.bmp": (color.quantize(16), {}), "still.gif": (color.quantize(64), {}),
        "moving.gif": (color.quantize(64), more), "moving.png": (color, more), "plain.tif": (color, {}),
        "packed.tif": (color, {"compression": "tiff_lzw"}), "pages.tif": (color, more),
        "lossy.webp": (color, {"quality": 90}), "lossless.webp": (color, {"lossless": True}),
        "moving.webp": (color, {"lossless": True, **more}), "color.ppm": (color, {}), "grey.pgm": (grey, {}),
        "bits.pbm": (grey.convert("1"), {}),
    }
    expected = {}
    for name, (picture, options) in files.items():
        picture.save(folder("pictures", "kinds", name), **options)
        back = Image.open(folder("pictures", "kinds", name))
        expected[name] = np.asarray(back.convert("RGB")).transpose(2, 0, 1)
    np.savez_compressed(folder("pictures", "kinds", "expected.npz"), **expected)


def arrays():
    x, y = images(0, 6, channels=1, side=4), np.array([0, 1, 2, 0, 1, 2])
    np.savez(folder("npz", "own.npz"), images=x, labels=y, classes=np.array(4), mean=np.array([0.5]), std=np.array([0.25]))
    np.savez_compressed(folder("npz", "short.npz"), x=x[:, 0], y=y.astype(np.uint8))
    np.savez(folder("npz", "without.npz"), weights=np.arange(3.0))


cifar()
matlab()
cinic()
pictures()
kinds()
arrays()
