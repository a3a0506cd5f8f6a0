"""The cache of a run's training: store its location, and find it again."""

import os
from pathlib import Path

from pipeline.errors import CacheError
from pipeline.portable import located, portable
from pipeline.program import command
from pipeline.store.location import Location, LocationLike
from pipeline.store.reader import FeatureCache
from trainer.known_caches import require_known


def stored_location(place: Location) -> str:
    """Return a cache's location for run.json: an absolute path without the user's name, or an address."""
    return portable(place.resolved()) if place.is_local else place.resolved()


def location_from(run_dir: Path, place: Location) -> str:
    """Return the path of a cache from a run's directory; empty for a cache on object storage."""
    if not place.is_local:
        return ""
    return portable(os.path.relpath(place.resolved(), run_dir.resolve()))


def training_cache(run_dir: Path, stored: str, from_run: str) -> Location:
    """Return the location of the training cache that the files of a run name. Nothing is opened or contacted.

    Args:
        run_dir: Directory of the run.
        stored: Result of `stored_location`.
        from_run: Result of `location_from`. Used if nothing is at `stored`, because run and cache have moved
            together.
    """
    place = Location.of(located(stored))
    if place.is_local and from_run and not _is_there(str(place)):
        near = os.path.normpath(run_dir.resolve() / located(from_run))
        if _is_there(near):
            return Location(near)
    return place


def is_same_place(one: Location, other: Location) -> bool:
    """Return whether two locations are the same cache; False if a local one is missing. Opens neither."""
    if not (one.is_local and other.is_local):
        return str(one).rstrip("/") == str(other).rstrip("/")
    try:
        return one.path.samefile(other.path)
    except (OSError, ValueError):  # ValueError: an invalid path, such as one with a null byte
        return False


def _is_there(path: str) -> bool:
    """Return whether anything is at a path; False, without an error, for an invalid path."""
    return os.path.exists(path)  # noqa: PTH110 - pathlib raises for too long a name


def chosen_cache(run_dir: Path, named: Location, given: LocationLike | None) -> Location:
    """Return the cache to measure a run on.

    Args:
        run_dir: Directory of the run.
        named: The training cache that the run names.
        given: The user's choice. None: `named`.

    Raises:
        CacheError: The cache is on object storage, and only the run names it. It is not contacted.
    """
    if given is not None:
        return Location.of(given)
    require_known(named, run_dir)
    return named


def open_cache(where: LocationLike, trained: Path | None = None) -> FeatureCache:
    """Open a cache. Raises CacheError if it is missing, and as `FeatureCache.open` does.

    `trained` is the run that names the location, for the message; None if the user named it.
    """
    place = Location.of(where)
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
