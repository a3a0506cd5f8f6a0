"""The feature cache: its contract, where it lies, who works on it, writing, reading, export.

``schema``        the contract: arrays and dimensions; ``meta`` the attributes; ``schema_page`` prints both
``config``        how many clips form a block of a new cache
``location``      a folder or a prefix in a bucket; ``sandboxed_store`` keeps zarr within a folder
``lock_records``  small texts beside a cache, changed without a race
``lock``          one extract per cache or share, from records; ``lock_owner`` is who has it
``create``        a new cache, there whole or not at all
``rows``          a clip's outcome -> a row of every array
``writer``        rows -> blocks, status last
``checks``        what a stored array must be before it is read
``reader``        a cache -> arrays
``find_damage``   a cache -> the blocks that lost something
``summary``       a cache -> what it holds; ``export`` -> one HDF5 file

The only package that imports zarr, obstore and h5py.
"""
