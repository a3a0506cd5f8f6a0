"""On the PYTHONPATH of a run, this makes its decoding children die or hang at clips of certain names.

A clip whose name begins with ``segfault``, ``abort``, ``hang``, ``hungry`` or ``exit`` has its way.
Every clip that a child takes up is noted in the file that $OUS_TEST_DECODED names, and then takes
$OUS_TEST_CLIP_SECONDS, so that there is time to kill the run. open_clip knows the small model of the tests.
"""

import ctypes
import os
import sys
import time
from pathlib import Path

_HOUR_SECONDS = 3600
_TERABYTE = 1 << 40


def _misbehave(name: str) -> None:
    if name.startswith("segfault"):
        ctypes.string_at(0)
    elif name.startswith("abort"):
        os.abort()
    elif name.startswith("exit"):
        os._exit(3)
    elif name.startswith("hang"):
        time.sleep(_HOUR_SECONDS)
    elif name.startswith("hungry"):
        bytearray(_TERABYTE)


if "pipeline.frames.decode_worker" in sys.orig_argv:
    from pipeline.frames import requests

    _decode_clip = requests.decode_clip

    def _noted(path: Path, *args: object, **options: object) -> object:
        """Decode as ever, once the clip's name has had its way."""
        if noted := os.environ.get("OUS_TEST_DECODED"):
            with Path(noted).open("a") as file:
                file.write(f"{path.name}\n")
            Path(f"{noted}.{os.getpid()}").write_text(path.name)
            time.sleep(float(os.environ["OUS_TEST_CLIP_SECONDS"]))
        _misbehave(path.name)
        return _decode_clip(path, *args, **options)

    requests.decode_clip = _noted
else:
    from tests.modest import teach_open_clip

    teach_open_clip()
