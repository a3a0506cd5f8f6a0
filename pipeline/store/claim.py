"""Claim to a cache, or to a shard of it, which workers on any machine check before they write."""

import contextlib
import re
from dataclasses import dataclass

from pipeline.errors import CacheError
from pipeline.store.location import Location
from pipeline.store.lock_owner import Holder
from pipeline.store.lock_records import Records, records_of

WHOLE, CREATING = "whole", "create"
_NAME = re.compile(rf"{WHOLE}|{CREATING}|share-[0-9]{{1,9}}-of-[0-9]{{1,9}}")


@dataclass(frozen=True)
class Claim:
    """One acquisition of a lock. place: of the cache. name: of the lock's record. token: of its holder."""

    place: str
    name: str
    token: str

    def require(self) -> None:
        """Raise CacheError if another run has taken the lock over.

        A record that is gone, or cannot be read at the moment, does not prove it.
        """
        place, other = Location.of(self.place), None
        with contextlib.suppress(CacheError), place.translate_errors(""):
            other = self.other_holder(records_of(place))
        if other is not None:
            raise lost(place, other)

    def other_holder(self, records: Records) -> Holder | None:
        """Return the other holder of this lock, or of one that excludes it; None without one."""
        own = records.read(self.name)
        found = [own] if own else map(records.read, conflicting(records, self.name))
        for record in found:
            if record is not None and (holder := Holder.read(record.value)).token != self.token:
                return holder
        return None


def lost(place: Location, holder: Holder) -> CacheError:
    """Return the error of a run whose lock `holder` has taken over."""
    return CacheError(
        f"The lock of '{place}' was taken over by {holder}; this run ends here. Stored clips are safe."
    )


def conflicting(records: Records, name: str) -> list[str]:
    """Return the existing locks that exclude the lock `name`. Files of other names are no locks."""
    return [other for other in records.names() if _NAME.fullmatch(other) and _conflict(other, name)]


def _conflict(one: str, other: str) -> bool:
    if one == other:
        return True
    if CREATING in (one, other):
        return False
    return WHOLE in (one, other) or one.rpartition("-")[2] != other.rpartition("-")[2]
