"""Who holds a lock: a process, distinct from later ones of its number, with its last heartbeat."""

import dataclasses
import getpass
import json
import math
import os
import secrets
import socket
import time
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path

BEAT_SECONDS = 10.0
_BEAT_SECONDS_READ = (1.0, 30.0)
"""Bounds of what a record may claim: who waits for a heartbeat waits for as long as the record asks."""
_STALE_BEATS = 6
_MAX_TEXT = 200
_STOPPED, _ENDED = "Tt", "ZX"


class Life(Enum):
    """What this machine's list of processes shows of a holder."""

    RUNNING = "running"
    STOPPED = "stopped"
    ENDED = "ended"
    UNKNOWN = "of another machine, or hidden from this user"


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who holds a lock. share: "" for all of the cache. process_start: tells a reused pid apart.

    machine: the running system and its process numbers' namespace. started, beat: wall clock of the holder's
    machine, seconds; beat is the last heartbeat. token: of this one taking of the lock.
    """

    token: str
    user: str
    host: str
    machine: str
    pid: int
    process_start: str
    share: str
    started: float
    beat: float
    beat_seconds: float

    @classmethod
    def this_process(cls, share: str, beat_seconds: float) -> "Holder":
        """A new holder, for the process that asks."""
        now = time.time()
        return cls(
            token=secrets.token_hex(8), user=_user(), host=socket.gethostname(), machine=_machine(),
            pid=os.getpid(), process_start=_process_start(os.getpid()), share=share,
            started=now, beat=now, beat_seconds=beat_seconds,
        )  # fmt: skip

    @classmethod
    def read(cls, value: bytes) -> "Holder":
        """Return the holder of a record; an unknown one, without a heartbeat, where the record is damaged.

        An absurd `beat_seconds` becomes the nearest that is allowed.
        """
        unknown = cls(
            token="", user="unknown", host="unknown", machine="", pid=0, process_start="", share="",
            started=0.0, beat=0.0, beat_seconds=BEAT_SECONDS,
        )  # fmt: skip
        try:
            found = json.loads(value)
            types = {f.name: type(getattr(unknown, f.name)) for f in dataclasses.fields(cls)}
            fields = {name: kind(found[name]) for name, kind in types.items()}
            holder = cls(**{**fields, "beat_seconds": _bounded(fields["beat_seconds"])})
            return holder if str(holder) and holder._is_plausible else unknown
        except (ValueError, TypeError, LookupError, OverflowError, OSError, RecursionError):
            return unknown

    def to_bytes(self) -> bytes:
        """As a record."""
        return json.dumps(dataclasses.asdict(self)).encode()

    def __str__(self) -> str:
        started = datetime.fromtimestamp(self.started).astimezone().isoformat(" ", "seconds")
        part = f"share {self.share}, " if self.share else ""
        ago = time.time() - self.beat
        seen = f"{max(0.0, ago):.0f} s ago"
        if ago < -_STALE_BEATS * self.beat_seconds:
            seen = f"{-ago:.0f} s ahead of this machine's clock"
        return f"{self.user}@{self.host}, process {self.pid}, {part}since {started}, last seen {seen}"

    @property
    def life(self) -> Life:
        """What this machine knows of the process without waiting for its heartbeat."""
        if not self.machine or self.machine != _machine():
            return Life.UNKNOWN
        found = _process(self.pid)
        if found is None:
            return Life.UNKNOWN if _is_hidden(self.pid) else Life.ENDED
        state, start = found
        if start != self.process_start or state in _ENDED:
            return Life.ENDED
        return Life.STOPPED if state in _STOPPED else Life.RUNNING

    @property
    def has_recent_beat(self) -> bool:
        """Whether its last heartbeat is within six beats of this machine's clock: a minute, as a rule.

        False for one further in the future: a record may claim anything.
        """
        return abs(time.time() - self.beat) <= _STALE_BEATS * self.beat_seconds

    @property
    def _is_plausible(self) -> bool:
        texts = (self.token, self.user, self.host, self.machine, self.process_start, self.share)
        return math.isfinite(self.beat) and all(len(text) <= _MAX_TEXT for text in texts)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _machine() -> str:
    """Names the running system and the namespace of its process numbers; "" where that is unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _process(pid: int) -> tuple[str, str] | None:
    """Return the state letter and the start, in the system's ticks, of a process; None where none is seen."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return state, fields[18]


def _process_start(pid: int) -> str:
    found = _process(pid)
    return "" if found is None else found[1]


def _is_hidden(pid: int) -> bool:
    """Whether there is a process of that number that this user may not see (/proc mounted with hidepid)."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return pid > 0
    except (OSError, OverflowError):
        return False
    return pid > 0


def _bounded(beat_seconds: float) -> float:
    if math.isnan(beat_seconds):
        return BEAT_SECONDS
    lowest, highest = _BEAT_SECONDS_READ
    return min(max(beat_seconds, lowest), highest)
