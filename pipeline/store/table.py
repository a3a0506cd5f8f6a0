"""A cache that is there gets other labels, or more clips: a new clip table, then one write that names it."""

from dataclasses import replace

import zarr

from pipeline.errors import CacheError
from pipeline.store.create import Rows, table_values, write_table
from pipeline.store.meta import CacheMeta, table_name
from pipeline.store.place import Place
from pipeline.store.reader import FeatureCache


def replace_table(place: Place, meta: CacheMeta, static: Rows) -> CacheMeta:
    """Store what is known of the clips anew, of as many clips or more; all of it takes effect at once.

    meta: the attributes to be, but for the number of the table. static: as for `CacheWriter.create`.
    Features stay as they are; clips that are new are pending. The table that was in force stays for
    those who are reading it, older ones go. The caller holds the cache's lock. Raises CacheError when
    the cache would lose clips or the disk refuses: then it is as it was.
    """
    with FeatureCache.open(place) as cache:
        there = cache.meta
    if meta.num_clips < there.num_clips:
        msg = f"'{place}' holds {there.num_clips} clips; a table of {meta.num_clips} would lose some."
        raise CacheError(msg)
    meta = replace(meta, clip_table=there.clip_table + 1)
    meta.require_bounds(str(place))
    values = table_values(meta, static)
    with place.refusals_told("took no other clip table", "It is as it was; mend that and run again."):
        group = zarr.open_group(place.zarr_store(read_only=False), mode="r+", zarr_format=3)
        for name in _tables(group) - {table_name(there.clip_table)}:
            del group[name]  # out of force, or what a run that was killed left half written
        for spec in meta.arrays():
            if spec.per_block and group[spec.name].shape[0] < meta.num_clips:  # type: ignore[union-attr]
                group[spec.name].resize(meta.shape(spec))  # type: ignore[union-attr]
        write_table(group, meta, values)
        group.update_attributes(meta.to_attributes())
    return meta


def _tables(group: zarr.Group) -> set[str]:
    return {name for name in group.group_keys() if name.startswith(table_name(0)[:-1])}
