"""Extraction with many workers, on paper and by simulation: docs/scaling.md.

    python -m benchmarks.scaling --measure          # measure the constants on this machine, then simulate
    python -m benchmarks.scaling                    # simulate with the recorded constants

``requests``    counts the requests of `extract` and `cache verify` to a local S3 server
``measures``    costs of the client, of Dask, of planning and of a start on this machine
``constants``   all constants with their sources
``scenario``    one simulated run and its result
``simulation``  discrete simulation of a run, with the dispatcher of the program
``scenarios``   all simulated runs, and the limits by arithmetic
``figure``      docs/images/scaling.png
"""
