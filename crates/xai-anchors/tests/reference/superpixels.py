"""Superpixels of small images by scikit-image, for tests/image_superpixels.rs.

    pip install scikit-image==0.22 "numpy<2"
    python superpixels.py

Reads the pixels in superpixels.json, which are whole numbers of 1/10000, makes the synthetic images that are not there
yet, and writes the labels of all, one base-36 digit a pixel.
quickshift breaks ties by noise: its labels are written where several seeds of the noise agree.
The astronaut is scikit-image's own picture (NASA, public domain), 64 by 64 pixels.
"""

import json
from pathlib import Path

import numpy as np
from skimage.segmentation import felzenszwalb, quickshift, slic

PATH = Path(__file__).with_name("superpixels.json")
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def shifted(x, **settings):
    """The labels for the default seed, or None where another seed parts the image elsewhere."""
    labels = quickshift(x, **settings)
    for seed in range(10):
        other = quickshift(x, rng=seed, **settings)
        pairs = len(set(zip(labels.ravel(), other.ravel())))
        if pairs != labels.max() + 1 or pairs != other.max() + 1:
            return None
    return labels


METHODS = {
    "slic_n15_c10": lambda x: slic(x, n_segments=15, compactness=10, sigma=0.5, start_label=0),
    "slic_n30_c20": lambda x: slic(x, n_segments=30, compactness=20, sigma=0.5, start_label=0),
    "slic_n10_c01": lambda x: slic(x, n_segments=10, compactness=0.1, sigma=0, start_label=0),
    "felzenszwalb_100_05_50": lambda x: felzenszwalb(x, scale=100, sigma=0.5, min_size=50),
    "felzenszwalb_1_08_20": lambda x: felzenszwalb(x),
    "quickshift_4_200_02": lambda x: shifted(x, kernel_size=4, max_dist=200, ratio=0.2),
    "quickshift_3_20_1": lambda x: shifted(x, kernel_size=3, max_dist=20, ratio=1, sigma=0.7),
    "quickshift_5_30_05": lambda x: shifted(x, kernel_size=5, max_dist=30, ratio=0.5),
}


def synthetic():
    rng = np.random.default_rng(0)
    yield "strip", rng.random((3, 60, 3))
    yield "tall", rng.random((50, 7, 3))
    yield "noise", rng.random((17, 23, 3))
    yield "grey", rng.random((20, 31, 1))
    yield "two_channels", rng.random((16, 20, 2))
    two_tone = np.zeros((12, 12, 3))
    two_tone[:, 6:] = 1
    yield "two_tone", two_tone
    yield "flat", np.full((10, 10, 3), 0.5)


def rows(labels):
    assert labels.max() < 36, labels.max()
    return ["".join(DIGITS[label] for label in row) for row in labels]


def main():
    cases = json.loads(PATH.read_text())["cases"]
    known = {case["image"] for case in cases}
    for name, pixels in synthetic():
        if name not in known:
            whole = np.round(pixels * 10000).astype(int)
            cases.append({"image": name, "shape": list(pixels.shape), "pixels": whole.ravel().tolist()})
    for case in cases:
        x = np.array(case["pixels"]).reshape(case["shape"]) / 10000
        case["labels"] = {}
        for name, method in METHODS.items():
            if "quickshift" in name and x.shape[2] != 3:
                continue
            labels = method(x)
            if labels is not None and labels.max() < 36:
                case["labels"][name] = rows(labels)
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    PATH.write_text('{"source":"scikit-image 0.22.0","cases":[\n' + lines + "\n]}\n")


if __name__ == "__main__":
    main()
