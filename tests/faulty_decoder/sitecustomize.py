"""On the PYTHONPATH of a run, this makes its decoding children die or hang at clips of certain names.

A clip whose name begins with ``segfault``, ``abort``, ``hang``, ``hungry`` or ``exit`` has its way. A long
video whose name begins with ``crash30``, ``once30`` or ``stall30`` kills or holds its decoder at the first
wanted frame from number 30 on, ``once`` only for the first time. ``scan-segfault4``, ``scan-hang4`` and
``scan-hungry4`` do so to its scans, at the frames from 4 s to 4.5 s.
Every clip that a child takes up is noted in the file that $OUS_TEST_DECODED names, and then takes
$OUS_TEST_CLIP_SECONDS, so that there is time to kill the run. open_clip knows the small model of the tests.
"""

import ctypes
import os
import re
import sys
import time
from collections.abc import Iterator
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
    from pipeline.frames import requests, scan_part

    _decode_clip, _decode_segment = requests.decode_clip, requests.decode_segment

    def _noted(path: Path, *args: object, **options: object) -> object:
        """Decode as ever, once the clip's name has had its way."""
        if noted := os.environ.get("OUS_TEST_DECODED"):
            with Path(noted).open("a") as file:
                file.write(f"{path.name}\n")
            Path(f"{noted}.{os.getpid()}").write_text(path.name)
            time.sleep(float(os.environ["OUS_TEST_CLIP_SECONDS"]))
        _misbehave(path.name)
        return _decode_clip(path, *args, **options)

    def _faulty_segment(job: requests.SegmentJob) -> Iterator[object]:
        """Decode a segment as ever, up to the frame that the file's name states."""
        fault = re.match("(crash|once|stall)([0-9]+)", job.path.name)
        done = job.path.with_suffix(".died")
        for answer in _decode_segment(job):
            if fault and getattr(answer, "number", -1) >= int(fault[2]) and not done.exists():
                if fault[1] == "once":
                    done.touch()
                _misbehave("hang" if fault[1] == "stall" else "segfault")
            yield answer

    class _FaultyPass(scan_part.FramePass):
        """A pass as ever, up to the time that the file's name states."""

        def __iter__(self) -> Iterator[tuple[float, object]]:
            fault = re.match("scan-([a-z]+)([0-9]+)", self.packets.path.name)
            for seconds, frame in super().__iter__():
                if fault and int(fault[2]) <= seconds < int(fault[2]) + 0.5:
                    _misbehave(fault[1])
                yield seconds, frame

    requests.decode_clip, requests.decode_segment = _noted, _faulty_segment
    scan_part.FramePass = _FaultyPass
else:
    from tests.modest import teach_open_clip

    teach_open_clip()
