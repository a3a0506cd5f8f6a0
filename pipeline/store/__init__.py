"""The feature cache: what is in it (`schema`), writing it, reading it, and one-file export.

The only package that imports zarr and h5py.
"""
