"""Reading of one clip, a batch and an epoch from this cache and from other stores of the same features.

    python -m benchmarks.stores --work DIR --out benchmarks/results/stores-cpu.json

``access``    patterns of access, page cache, timing; needs numpy only
``project``   the cache through the project's reader
``peers``     zarr-python, zarrs, tensorstore on the same files; Lance, Parquet, memory map of the same bytes
``__main__``  makes the cache, the peers' environment, and one process for each store
"""
