"""Runs on the version ``combined`` of the drawn set, beside the best accuracy of every reading of its cues.

    python -m benchmarks.harder sheet docs/images/combined.png
    python -m benchmarks.harder draw WORK
    ./cli.py ablate --cache WORK/feats.zarr --spec benchmarks/grids/harder.toml --seeds 5 --out WORK/grid
    python -m benchmarks.harder ideal WORK
    ./cli.py ablate --cache WORK/ideal.zarr --spec benchmarks/grids/harder.toml --seeds 3 --out WORK/ideal
    python -m benchmarks.harder report WORK --out benchmarks/results/harder.json

``design``  the set, the encoder, clips and cache
``sheet``   an image of the cues
``ideal``   a cache of features that show every aspect of a clip, without pixels
``probes``  facts of the plan that classifiers read from the features, without the model
``runs``    accuracy of the runs of the grid by kind of cue
``tables``  the record -> tables of docs/combined-cues.md
"""
