"""One extract per cache: who works on which share of it, kept by a sign of life, told to latecomers."""

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from pipeline.errors import CacheError, CacheExistsError, ConfigError
from pipeline.store.holder import BEAT_SECONDS, Holder
from pipeline.store.place import Place, Where
from pipeline.store.records import Record, Records, records_of

_WATCHED_BEATS = 2
_ATTEMPTS = 20
_CREATING = "create"
_POLL_SECONDS = 0.2
_CREATING_SECONDS = 300.0

Say = Callable[[str], None]


class _HeldError(CacheError):
    """Another run has the lock."""


@dataclass(frozen=True)
class Share:
    """One of `count` equal parts of a cache's blocks; `index` counts from 1."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Share":
        """The share that "3/8" names. Raises ConfigError for anything else."""
        match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text.strip())
        index, count = (int(part) for part in match.groups()) if match else (0, 0)
        if not 1 <= index <= count:
            msg = f"--blocks is '{text}'; a share i/n is needed, i from 1 to n: 1/8 to 8/8 for eight tasks."
            raise ConfigError(msg)
        return cls(index, count)

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def has(self, block: int) -> bool:
        """Whether the block of that number, from 0, belongs to this share."""
        return block % self.count == self.index - 1


class Lock:
    """A held lock. notes: what the user should know of how it was taken."""

    def __init__(
        self, place: Place, records: Records, name: str, holder: Holder, say: Say | None = None
    ) -> None:
        self.place = place
        self._say = say or (lambda _: None)
        self.notes: tuple[str, ...] = ()
        self._records, self._name, self._holder = records, name, holder
        self._changing = threading.Lock()
        self._robber: str | None = None
        self._ended = threading.Event()
        self._beats = threading.Thread(target=self._beat_until_the_end, name="cache-lock", daemon=True)

    def check(self) -> None:
        """Raise CacheError when the lock is certainly lost: somebody has taken it over.

        What cannot be read just now is no such certainty.
        """
        with self._changing, contextlib.suppress(CacheError), self.place.refusals_told(""):
            self._look()
        if self._robber is not None:
            msg = (
                f"The lock of '{self.place}' was taken over by {self._robber}; this run ends here. "
                "Finished blocks are safe."
            )
            raise CacheError(msg)

    def take(self, *, take_over: bool) -> None:
        """Take the lock. Raises CacheError when another holder lives, unless told to take over."""
        for _ in range(_ATTEMPTS):
            notes = [self._clear(name, take_over=take_over) for name in self._conflicting()]
            self.notes += tuple(note for note in notes if note)
            if self._records.create(self._name, self._holder.to_bytes()):
                if not any(name != self._name for name in self._conflicting()):
                    return
                self._remove()
            time.sleep(0.05)
        msg = (
            f"The lock of '{self.place}' is fought over by several runs that start at once; start one again."
        )
        raise _HeldError(msg)

    def start_beating(self) -> None:
        """Give a sign of life from now on, until `release`."""
        self._beats.start()

    def release(self) -> None:
        """Give the lock back, if it still is ours."""
        self._ended.set()
        if self._beats.is_alive():
            self._beats.join(_POLL_SECONDS * 10)
        with contextlib.suppress(CacheError), self.place.refusals_told(""):
            self._remove()

    def _conflicting(self) -> list[str]:
        return [name for name in self._records.names() if _conflict(name, self._name)]

    def _clear(self, name: str, *, take_over: bool) -> str | None:
        """Remove a record that stands in the way, and say so; CacheError when its holder lives."""
        record = self._records.read(name)
        if record is None:
            return None
        holder = Holder.read(record.value)
        if not (
            take_over or holder.is_dead or (holder.missed_beats and self._is_silent(name, record, holder))
        ):
            msg = (
                f"'{self.place}' is being extracted already by {holder}. Wait for it, or give another "
                "--cache; where you know that it has died, add --take-over."
            )
            raise _HeldError(msg)
        if not self._records.remove(name, record.tag):
            return None
        return f"the lock of {holder} was taken over" + ("" if take_over else "; that run has died")

    def _is_silent(self, name: str, record: Record, holder: Holder) -> bool:
        """Whether no sign of life comes while we wait for one: clocks of two machines may differ."""
        seconds = _WATCHED_BEATS * holder.beat_seconds
        self._say(f"'{self.place}' is locked: waiting {seconds:g} s for a sign of life of {holder}")
        time.sleep(seconds)
        again = self._records.read(name)
        return again is None or again.tag == record.tag

    def _beat_until_the_end(self) -> None:
        while not self._ended.wait(self._holder.beat_seconds):
            with self._changing, contextlib.suppress(CacheError), self.place.refusals_told(""):
                self._beat()

    def _beat(self) -> None:
        record = self._look()
        if record is not None:
            self._holder = replace(self._holder, beat=time.time())
            self._records.swap(self._name, record.tag, self._holder.to_bytes())

    def _look(self) -> Record | None:
        """Our record; None when it is lost, and then who has it is known. A vanished one is put back."""
        if self._robber is not None:
            return None
        names = [self._name] if self._records.read(self._name) else self._conflicting()
        for name in names:
            record = self._records.read(name)
            if record is not None and (holder := Holder.read(record.value)).token != self._holder.token:
                self._robber = str(holder)
                return None
        if not names:
            self._records.create(self._name, self._holder.to_bytes())
        return self._records.read(self._name)

    def _remove(self) -> None:
        record = self._records.read(self._name)
        if record is not None and Holder.read(record.value).token == self._holder.token:
            self._records.remove(self._name, record.tag)


@contextlib.contextmanager
def hold(
    where: Where,
    share: Share | None = None,
    *,
    take_over: bool = False,
    beat_seconds: float = BEAT_SECONDS,
    say: Say | None = None,
) -> Iterator[Lock]:
    """Hold a cache, or one share of it, against other extracts, also before the cache exists.

    Another run of all of it stands in the way, and one of the same share or of shares counted
    otherwise; different shares of one count live together. A holder whose process has died, or
    which gave no sign of life for six beats, is taken over with a note. take_over: also a living one.
    say: told when a sign of life is waited for, and how long. Raises CacheError, naming the other holder.
    """
    place = Place.of(where)
    name = f"share-{share.index}-of-{share.count}" if share else "whole"
    with place.refusals_told("cannot be locked"):
        lock = Lock(place, records_of(place), name, Holder.this_process(str(share or ""), beat_seconds), say)
        lock.take(take_over=take_over)
    lock.start_beating()
    try:
        yield lock
    finally:
        lock.release()


@contextlib.contextmanager
def creating(place: Place) -> Iterator[None]:
    """Alone in creating the cache; waits for another creator, five minutes at most.

    Raises CacheExistsError once the cache is there, CacheError when the other does not come to an end.
    """
    lock = Lock(place, records_of(place), _CREATING, Holder.this_process("", BEAT_SECONDS))
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


def _conflict(one: str, other: str) -> bool:
    """Whether two names of locks exclude each other."""
    if one == other:
        return True
    if _CREATING in (one, other):
        return False
    return "whole" in (one, other) or one.rpartition("-")[2] != other.rpartition("-")[2]
