"""Speed of each step, measured in one run on one machine, beside baselines and the machine's limits.

``options``           parts to measure, and their sizes
``clips``             clips for all parts, scaled to 360p
``models``            detector and encoder, with or without published weights
``result``            numbers, goals and the machine
``baselines``         features of the same kinds by the plain use of OpenCV, retinaface-pytorch and open_clip
``separate_process``  measurements in a process of their own
``encoding``          the encoder compared with bare matrix products
``steps``             decoding, detection and writing alone, compared with their baselines
``end_to_end``        the pipeline compared with its own parts and with the baseline
``load``              the trainer's load of a cache compared with reading its bytes
``cluster``           the cost of Dask, and the gain of a second worker
``run``               all requested parts
"""

from pipeline.bench.options import PARTS, BenchOptions
from pipeline.bench.result import BenchResult
from pipeline.bench.run import run_bench

__all__ = ["PARTS", "BenchOptions", "BenchResult", "run_bench"]
