"""The cache that a run reads: opened, or reported as moved."""

from pathlib import Path

from pipeline.errors import CacheError
from pipeline.program import command
from pipeline.store.place import Place, Where
from pipeline.store.reader import FeatureCache


def open_cache(where: Where, trained: Path | None = None) -> FeatureCache:
    """Open a cache. Raises CacheError as `FeatureCache.open`, and for one that is not there.

    trained: the run that names this place as its training cache, for the message; None where the user did.
    """
    place = Place.of(where)
    if place.exists():
        return FeatureCache.open(place)
    if trained is None:
        msg = (
            f"No cache at '{place}'; make one with `{command('extract', '--cache', place, '...')}`. If it "
            "was moved, give its location with --cache NEW."
        )
    else:
        msg = (
            f"'{trained}' was trained on the cache '{place}', which is not there. If it was moved, give its "
            "location with --cache NEW."
        )
    raise CacheError(msg)
