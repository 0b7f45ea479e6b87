"""Small pictures in files, for tests/image_pictures.rs.

    pip install pillow numpy
    python pictures.py

A JPEG of one colour, since only that survives its compression, and a PNG of sixteen bits of grey.
"""

from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
Image.new("RGB", (8, 4), (128, 128, 128)).save(HERE / "grey.jpg", quality=95)
deep = np.array([[0, 1, 256], [65534, 65535, 32768]], dtype=np.uint16)
Image.fromarray(deep).save(HERE / "deep.png")
