"""The cache that a run was trained on: how the run stores its location, and where that is found again."""

import os
from pathlib import Path

from pipeline.errors import CacheError
from pipeline.portable import located, portable
from pipeline.program import command
from pipeline.store.location import Place, Where
from pipeline.store.reader import FeatureCache
from trainer.known_caches import require_known


def stored_location(place: Place) -> str:
    """A cache's location for run.json: an absolute path without the user's name, or an address."""
    return portable(place.resolved()) if place.is_local else place.resolved()


def location_from(run_dir: Path, place: Place) -> str:
    """The path of a cache from a run's directory; empty for a cache on object storage."""
    if not place.is_local:
        return ""
    return portable(os.path.relpath(place.resolved(), run_dir.resolve()))


def training_cache(run_dir: Path, stored: str, from_run: str) -> Place:
    """The training cache that the files of a run name; nothing is opened or contacted.

    stored, from_run: of `stored_location` and `location_from`. Where nothing is at the first, because a run
    and its cache have moved together, it is at the second.
    """
    place = Place.of(located(stored))
    if place.is_local and from_run and not _is_there(str(place)):
        near = os.path.normpath(run_dir.resolve() / located(from_run))
        if _is_there(near):
            return Place(near)
    return place


def is_same_place(one: Place, other: Place) -> bool:
    """Whether two locations are one cache's; neither is opened. False where a local one is not there."""
    if not (one.is_local and other.is_local):
        return str(one).rstrip("/") == str(other).rstrip("/")
    try:
        return one.path.samefile(other.path)
    except (OSError, ValueError):  # ValueError: a text that is no path, such as one with a null byte
        return False


def _is_there(path: str) -> bool:
    """Whether there is anything; False, never an error, for a text that is no path."""
    return os.path.exists(path)  # noqa: PTH110 - pathlib raises for too long a name


def chosen_cache(run_dir: Path, named: Place, given: Where | None) -> Place:
    """The cache to measure a run on: the one that the user gives, else the one that the run names.

    Raises CacheError for one on object storage that only the run names, before it is contacted.
    """
    if given is not None:
        return Place.of(given)
    require_known(named, run_dir)
    return named


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
