"""A cache from before algorithm versions, and the clips it was made of.

tests/golden/cache-without-versions.zip was written by the last commit before identities held versions
(c693d10), by the encoder that `old_model` names, from the clips that `write_old_clips` draws:

    cli.py extract --dataset manifest --root ROOT/manifest.csv --cache feats.zarr OLD_MODELS --limit 5

Five of its eight clips are done. It opens and trains whatever the algorithm versions are; it is verified
and resumed where each step's is 1 (decoding has version 2 since decision 0010).
"""

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from open_clip import factory

from tests import modest

OLD_CACHE = Path(__file__).parent / "golden" / "cache-without-versions.zip"
OLD_MODELS = (
    "--detector", "boxes", "--encoder", modest.NAME, "--encoder-weights", "random", "--precision", "fp32",
    "--frames", "3", "--scheduler", "sync", "--set", "features.batch_pictures=8",
)  # fmt: skip
NUM_CLIPS, NUM_DONE, NUM_PICTURES = 8, 5, 4
HEIGHT, WIDTH = 48, 64


def old_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the model of `tests.modest` be as wide as it was then, for one test."""
    monkeypatch.setitem(factory._MODEL_CONFIGS, modest.NAME, {**modest.ARCHITECTURE, "embed_dim": 384})


def write_old_clips(root: Path) -> Path:
    """Write the clips as folders of uncompressed pictures, the same bytes anywhere; return the manifest."""
    lines = ["path,label,split,x0,y0,x1,y1"]
    for clip in range(NUM_CLIPS):
        folder = root / f"clip{clip}"
        folder.mkdir(parents=True)
        blocks = np.random.default_rng(clip).integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
        picture = blocks.repeat(8, axis=0).repeat(8, axis=1)
        for number in range(NUM_PICTURES):
            (folder / f"{number}.bmp").write_bytes(_bmp(np.roll(picture, 5 * number, axis=1)))
        split = "test" if clip % 4 == 3 else "train"
        x0 = 8 + 2 * clip
        lines.append(f"clip{clip},{('happiness', 'fear')[clip % 2]},{split},{x0},10,{x0 + 22},36")
    (root / "manifest.csv").write_text("\n".join(lines) + "\n")
    return root / "manifest.csv"


def unpack_old_cache(into: Path) -> Path:
    """Unpack the cache into a directory; return its path."""
    with zipfile.ZipFile(OLD_CACHE) as archive:
        archive.extractall(into)
    return into / "feats.zarr"


def _bmp(picture_HW3: np.ndarray) -> bytes:
    """A picture as an uncompressed bitmap: 24 bits a pixel, rows from the bottom up."""
    rows = picture_HW3[::-1, :, ::-1].tobytes()  # the width is a multiple of four: rows need no filling
    header = struct.pack("<IiiHHIIiiII", 40, WIDTH, HEIGHT, 1, 24, 0, len(rows), 0, 0, 0, 0)
    return struct.pack("<2sIHHI", b"BM", 54 + len(rows), 0, 0, 54) + header + rows
