"""The feature cache: its contract, its location, its lock, writing, reading and export.

``schema``        the contract: arrays and dimensions; ``meta`` the attributes; ``schema_page`` prints both
``block_size``    number of clips in a block of a new cache
``location``      a directory or a prefix in a bucket; ``sandboxed_store`` confines zarr to a directory
``lock_records``  small texts beside a cache, changed without a race
``lock``          one `extract` per cache or shard, from records; ``lock_owner`` is the process that has it
``create``        a new cache, created completely or not at all
``at_once``       several requests to a bucket at the same time
``rows``          outcome of a clip -> a row of every array
``writer``        rows -> blocks, status last
``checks``        conditions that a stored array has to fulfil before it is read
``reader``        a cache -> arrays
``find_damage``   a cache -> its damaged blocks
``summary``       a cache -> its contents in one document; ``export`` -> one HDF5 file

The only package that imports zarr, obstore and h5py.
"""
