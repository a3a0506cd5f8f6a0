"""How fast each step is, side by side in one run on one machine, against what it is measured by.

``options``           what is measured, and how much of it
``clips``             the clips that all parts share, scaled to 360p
``models``            detector and encoder, with or without published weights
``result``            numbers, goals and the machine
``baselines``         the same features by the plain use of OpenCV, retinaface-pytorch and open_clip
``separate_process``  measurements that need a process of their own
``encoding``          the encoder against the products it is made of
``steps``             decoding, detection and writing alone, against their baselines
``end_to_end``        the pipeline against its own parts and against the baseline
``load``              the trainer's load of a cache against reading its bytes
``cluster``           the cost of Dask, and the gain of a second worker
``run``               the requested parts, one after the other
"""

from pipeline.bench.options import PARTS, BenchOptions
from pipeline.bench.result import BenchResult
from pipeline.bench.run import run_bench

__all__ = ["PARTS", "BenchOptions", "BenchResult", "run_bench"]
