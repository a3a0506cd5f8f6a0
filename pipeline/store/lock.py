"""One `extract` per cache: a lock on all of it or on a shard, renewed by heartbeats.

A holder on this machine is alive as long as its process exists, even without heartbeats. A holder on another
machine is alive if its record has a heartbeat of the last minute. Any other record, also one from the future,
is watched for changes, by the monotonic clock of the process that waits (decision 0013).
"""

import contextlib
import math
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from pipeline.errors import CacheError, CacheExistsError, ConfigError, some
from pipeline.store.claim import CREATING, WHOLE, Claim, conflicting, lost
from pipeline.store.location import Location, LocationLike
from pipeline.store.lock_owner import BEAT_SECONDS, Holder, OwnerState
from pipeline.store.lock_records import Record, Records, records_of

_WATCHED_BEATS = 3
_LOOKS_PER_BEAT = 10
_ATTEMPTS = 20
_POLL_SECONDS = 0.2
_CREATING_SECONDS = 300.0

Say = Callable[[str], None]


class _HeldError(CacheError):
    """Another run has the lock."""


@dataclass(frozen=True)
class Shard:
    """Shard: one of `count` equal parts of a cache's blocks. `index` counts from 1."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Return the shard that a text such as "3/8" names. Raises ConfigError for any other text."""
        match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text.strip())
        index, count = (int(part) for part in match.groups()) if match else (0, 0)
        if not 1 <= index <= count:
            msg = (
                f"--blocks is '{text}'; allowed: a shard i/n of the cache's blocks, i from 1 to n, such as "
                "1/8 to 8/8 for eight tasks. Terms: docs/glossary.md."
            )
            raise ConfigError(msg)
        return cls(index, count)

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def has(self, block: int) -> bool:
        """Return whether a block, counted from 0, belongs to this shard."""
        return block % self.count == self.index - 1


class Lock:
    """Lock of this process. notes: for the user, on locks that were taken over."""

    def __init__(
        self, place: Location, records: Records, name: str, holder: Holder, say: Say | None = None
    ) -> None:
        self.place = place
        self._say = say or (lambda _: None)
        self.notes: tuple[str, ...] = ()
        self._records, self._name, self._holder = records, name, holder
        self._changing = threading.Lock()
        self._new_holder: Holder | None = None
        self._checked = -math.inf
        self._ended = threading.Event()
        self._beats = threading.Thread(target=self._beat_until_the_end, name="cache-lock", daemon=True)

    @property
    def claim(self) -> Claim:
        """Claim that workers on any machine check before they write."""
        return Claim(self.place.resolved(), self._name, self._holder.token)

    def check(self, *, every_seconds: float = 0.0) -> None:
        """Read the record, and raise CacheError if another run has taken the lock.

        A record that cannot be read at the moment does not prove it.

        Args:
            every_seconds: Time since the last check within which the record is not read again.
        """
        now = time.monotonic()
        if now - self._checked < every_seconds:
            self.require_held()
            return
        self._checked = now
        with self._changing, contextlib.suppress(CacheError), self.place.translate_errors(""):
            self._look()
        self.require_held()

    def require_held(self) -> None:
        """Raise CacheError if a heartbeat or `check` has found the lock lost. No record is read."""
        if self._new_holder is not None:
            raise lost(self.place, self._new_holder)

    def take(self, *, take_over: bool) -> None:
        """Take the lock. Raises CacheError if another holder is alive, except with `take_over`."""
        for _ in range(_ATTEMPTS):
            self._clear(take_over=take_over)
            if self._records.create(self._name, self._holder.to_bytes()):
                if not any(name != self._name for name in conflicting(self._records, self._name)):
                    return
                self._remove()
            time.sleep(0.05)
        msg = f"The lock of '{self.place}' is requested by several runs that start at once; start one again."
        raise _HeldError(msg)

    def start_beating(self) -> None:
        """Start heartbeats, until `release`."""
        self._beats.start()

    def release(self) -> None:
        """Release the lock, if this process still has it."""
        self._ended.set()
        if self._beats.is_alive():
            self._beats.join(_POLL_SECONDS * 10)
        with contextlib.suppress(CacheError), self.place.translate_errors(""):
            self._remove()

    def _clear(self, *, take_over: bool) -> None:
        """Remove conflicting records, with a note for each. Raises CacheError if a holder is alive."""
        names = conflicting(self._records, self._name)
        there = {name: record for name in names if (record := self._records.read(name))}
        holders = {name: Holder.read(record.value) for name, record in there.items()}
        reasons = {
            name: "; that run has died" for name, one in holders.items() if one.state is OwnerState.ENDED
        }
        if not take_over:
            doubtful = {name: record for name, record in there.items() if name not in reasons}
            for holder in map(holders.__getitem__, doubtful):
                if holder.state is not OwnerState.UNKNOWN or holder.has_recent_beat:
                    raise self._held_by(holder)
            reasons |= self._silent(doubtful, holders) if doubtful else {}
        for name, record in there.items():
            if self._records.remove(name, record.tag):
                self.notes += (f"the lock of {holders[name]} was taken over{reasons.get(name, '')}",)

    def _silent(self, there: Mapping[str, Record], holders: Mapping[str, Holder]) -> dict[str, str]:
        """Watch records for heartbeats, and return by name how long there was none, in words.

        Clocks of two machines may differ by any amount, and a record may claim any time. Only a change proves
        that a holder is alive. Raises CacheError then.
        """
        beat = max(holders[name].beat_seconds for name in there)
        seconds = _WATCHED_BEATS * beat
        by = some([str(holders[name]) for name in there], joint="; ")
        self._say(f"'{self.place}' is locked by {by}: waiting up to {seconds:g} s for a heartbeat")
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, beat / _LOOKS_PER_BEAT))
            for name, record in there.items():
                found = self._records.read(name)
                if found is not None and found.tag != record.tag:
                    raise self._held_by(Holder.read(found.value))
        return dict.fromkeys(there, f"; it gave no heartbeat for {seconds:g} s")

    def _held_by(self, holder: Holder) -> _HeldError:
        how = "Wait for it, or give another --cache; if you know that it has died, add --take-over."
        if holder.state is OwnerState.STOPPED:
            how = (
                f"That process is stopped (Ctrl-Z): continue it with `kill -CONT {holder.pid}`, or end it "
                f"with `kill -9 {holder.pid}` and run this again."
            )
        return _HeldError(f"'{self.place}' is being extracted already by {holder}. {how}")

    def _beat_until_the_end(self) -> None:
        while not self._ended.wait(self._holder.beat_seconds):
            with self._changing, contextlib.suppress(CacheError), self.place.translate_errors(""):
                self._beat()

    def _beat(self) -> None:
        record = self._look()
        if record is not None:
            self._holder = replace(self._holder, beat=time.time())
            self._records.swap(self._name, record.tag, self._holder.to_bytes())

    def _look(self) -> Record | None:
        """Return this process's record, written again if it vanished; None if another run has the lock."""
        if self._new_holder is not None:
            return None
        record = self._records.read(self._name)
        if record is not None and Holder.read(record.value).token == self._holder.token:
            return record
        self._new_holder = self.claim.other_holder(self._records)
        if self._new_holder is not None:
            return None
        record = self._records.read(self._name)
        if record is None and not conflicting(self._records, self._name):
            self._records.create(self._name, self._holder.to_bytes())
        return record or self._records.read(self._name)

    def _remove(self) -> None:
        record = self._records.read(self._name)
        if record is not None and Holder.read(record.value).token == self._holder.token:
            self._records.remove(self._name, record.tag)


@contextlib.contextmanager
def hold(
    where: LocationLike,
    shard: Shard | None = None,
    *,
    take_over: bool = False,
    beat_seconds: float = BEAT_SECONDS,
    say: Say | None = None,
) -> Iterator[Lock]:
    """Hold the lock of a cache, or of one shard of it. The cache need not exist yet.

    A lock of the whole cache excludes all others. Locks of shards exclude each other if they are the same
    shard or have different counts. A lock is taken over, with a note, if its process has died, or if it is on
    another machine, has no heartbeat of the last minute and does not change for three heartbeats. A stopped
    process of this machine is alive.

    Args:
        where: Location of the cache.
        shard: The shard; None for the whole cache.
        take_over: Take the lock also from a holder that is alive.
        beat_seconds: Time between heartbeats.
        say: Called with a message before this function waits for a heartbeat.

    Yields:
        The lock, which is released at the end.

    Raises:
        CacheError: Another holder, which the message names, is alive.
    """
    place = Location.of(where)
    name = f"share-{shard.index}-of-{shard.count}" if shard else WHOLE
    with place.translate_errors("cannot be locked"):
        lock = Lock(place, records_of(place), name, Holder.this_process(str(shard or ""), beat_seconds), say)
        lock.take(take_over=take_over)
    lock.start_beating()
    try:
        yield lock
    finally:
        lock.release()


@contextlib.contextmanager
def creating(place: Location) -> Iterator[None]:
    """Hold the lock for creating a cache. It waits at most five minutes for another creator.

    Raises CacheExistsError if the cache exists then, and CacheError if the other creator does not finish.
    """
    lock = Lock(place, records_of(place), CREATING, Holder.this_process("", BEAT_SECONDS))
    give_up = time.monotonic() + _CREATING_SECONDS
    while True:
        try:
            lock.take(take_over=False)
            break
        except _HeldError as held:
            if place.exists():
                raise CacheExistsError.at(str(place)) from None
            if time.monotonic() > give_up:
                msg = f"'{place}' is not created after {_CREATING_SECONDS:g} s of waiting: {held}"
                raise CacheError(msg) from held
        time.sleep(_POLL_SECONDS)
    lock.start_beating()
    try:
        if place.exists():
            raise CacheExistsError.at(str(place))
        yield
    finally:
        lock.release()
