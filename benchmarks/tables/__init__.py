"""JSON files of benchmarks/results -> tables of pages in docs; `benchmarks.page` writes them.

``cells``        parts that tables share
``performance``  goals of `bench`, text encoder, epochs, sweeps, sizes of detection
``gpu``          steps of a GPU
``prediction``   `predict`
``tracks``       tracks and cuts
``results``      findings, baselines, long tail, votes, combined cues
``scale``        a million clips
``scaling``      extraction by many workers, simulated
``statistics``   coverage and false verdicts
``stores``       this cache and other stores
"""
