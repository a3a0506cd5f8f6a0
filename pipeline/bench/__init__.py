"""How fast each step is, side by side in one run on one machine, against what it is measured by.

``options``   what is measured, and how much of it
``material``  the clips that all parts share, scaled to 360p
``models``    detector and encoder, with or without published weights
``result``    numbers, goals, the machine: as JSON and as a table
``encoding``  the encoder against the products it is made of
``steps``     decoding, detection, encoding, writing alone; against the usual ways
``whole``     the pipeline against its own parts and against `benchmarks/baseline.py`
``cluster``   what Dask costs, and what a second worker gives
``run``       the parts that were asked for, one after the other
"""

from pipeline.bench.options import PARTS, BenchOptions
from pipeline.bench.result import BenchResult
from pipeline.bench.run import run_bench

__all__ = ["PARTS", "BenchOptions", "BenchResult", "run_bench"]
