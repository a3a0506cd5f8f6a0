"""Time facenet-pytorch's MTCNN on frames. It runs in that package's environment.

    python run_mtcnn.py BATCH FRAMES.npy [FRAMES.npy ...]

Files hold uint8 RGB frames [U, H, W, 3]. It prints one JSON document: frames, frames with a face, seconds,
and seconds of processor time.
"""

import json
import sys
import time

import numpy as np
import torch
from facenet_pytorch import MTCNN


def main() -> None:
    """Detect faces on all frames after a pass for warm-up."""
    batch = int(sys.argv[1])
    clips = [np.load(path) for path in sys.argv[2:]]
    batches = [frames[at : at + batch] for frames in clips for at in range(0, len(frames), batch)]
    detector = MTCNN(keep_all=True, device=torch.device("cpu"))
    detector.detect(batches[0])
    began, cpu_began = time.perf_counter(), time.process_time()
    boxes = [box for frames in batches for box in detector.detect(frames)[0]]
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    found = sum(box is not None for box in boxes)
    document = {"frames": len(boxes), "with_face": found, "seconds": seconds, "cpu_seconds": cpu_seconds}
    sys.stdout.write(json.dumps(document) + "\n")


if __name__ == "__main__":
    main()
