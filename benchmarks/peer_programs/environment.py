"""Environments of other programs: their packages beside this program's torch, torchvision and numpy.

The packages of the peers declare older versions of torch than this program needs. They are installed without
their dependencies, and import torch, numpy, OpenCV and open_clip from this environment, so that both sides
compute with the same libraries.
"""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from importlib.metadata import distributions
from pathlib import Path

from pipeline.errors import OusError

_REQUESTS = ("requests", "charset-normalizer", "idna", "urllib3", "certifi")
CLIP_VIDEO_ENCODE = (
    "clip-video-encode==1.3.0", "video2numpy==2.3.0", "webdataset==1.0.2", "fire==0.7.1", "pyarrow",
    "termcolor", "braceexpand", "ffmpeg-python", "future", "youtube-dl", "pyyaml", "six", *_REQUESTS,
)  # fmt: skip
VIDEO_FEATURES = (
    "omegaconf==2.3.0", "antlr4-python3-runtime==4.9.3", "pyyaml", "ftfy", "wcwidth", "regex",
)  # fmt: skip
FACENET = ("facenet-pytorch==2.6.0", *_REQUESTS)


def make_environment(folder: Path, packages: Sequence[str]) -> Path:
    """Make a virtual environment, or take the one of an earlier call.

    Args:
        folder: Its directory.
        packages: Requirements to install without their dependencies.

    Returns:
        Its Python.

    Raises:
        OusError: pip is missing or failed; the message has the last line of its output.
    """
    python = folder / "bin" / "python"
    complete = folder / "complete.txt"
    beside = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    wanted = "\n".join([*packages, *beside])  # the environment of another checkout may be gone
    if complete.is_file() and complete.read_text(encoding="utf-8") == wanted:
        return python
    _call([sys.executable, "-m", "venv", "--clear", "--without-pip", str(folder)])
    (packages_of(folder) / "zz_beside.pth").write_text("\n".join(beside) + "\n", encoding="utf-8")
    _call([sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", *packages])
    complete.write_text(wanted, encoding="utf-8")
    return python


def packages_of(folder: Path) -> Path:
    """Return the directory of an environment's own packages."""
    return folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def versions_in(folder: Path) -> dict[str, str]:
    """Return the versions of an environment's own packages, by name."""
    found = {one.metadata["Name"]: one.version for one in distributions(path=[str(packages_of(folder))])}
    return dict(sorted(found.items()))


def environment_of_peer() -> dict[str, str]:
    """Return this process's environment variables without the path to this program's modules."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def _call(command: list[str]) -> None:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        env=environment_of_peer(),
    )  # fmt: skip
    if done.returncode:
        last = (done.stdout.strip().splitlines() or ["no message"])[-1]
        msg = f"`python {' '.join(command[1:])}` failed: {last}"
        raise OusError(msg)
