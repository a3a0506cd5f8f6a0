"""Holder of a lock: a process, distinguished from later processes of its number, and its last heartbeat."""

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
"""Bounds of the heartbeat interval of a record, because other processes wait for multiples of it."""
_STALE_BEATS = 6
_MAX_TEXT = 200
_STOPPED, _ENDED = "Tt", "ZX"


class OwnerState(Enum):
    """State of a holder in this machine's list of processes."""

    RUNNING = "running"
    STOPPED = "stopped"
    ENDED = "ended"
    UNKNOWN = "of another machine, or hidden from this user"


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Holder of a lock.

    Attributes:
        token: Random text of this acquisition of the lock.
        user: Name of its user.
        host: Name of its machine.
        machine: Id of the running system and of the namespace of its process numbers; empty if unknown.
        pid: Number of its process.
        process_start: Start of the process, which distinguishes processes with a reused number.
        share: Shard as "i/n"; empty for the whole cache.
        started: Time of the acquisition, in seconds by the wall clock of its machine.
        beat: Time of the last heartbeat, by the same clock.
        beat_seconds: Time between heartbeats.
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
        """Return a new holder for the calling process. share: shard as "i/n"; empty for the whole cache."""
        now = time.time()
        return cls(
            token=secrets.token_hex(8), user=_user(), host=socket.gethostname(), machine=_machine(),
            pid=os.getpid(), process_start=_process_start(os.getpid()), share=share,
            started=now, beat=now, beat_seconds=beat_seconds,
        )  # fmt: skip

    @classmethod
    def read(cls, value: bytes) -> "Holder":
        """Return the holder of a record; an unknown one, without a heartbeat, if the record is damaged.

        `beat_seconds` outside its bounds becomes the nearest bound.
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
        """Return the content of its record."""
        return json.dumps(dataclasses.asdict(self)).encode()

    def __str__(self) -> str:
        started = datetime.fromtimestamp(self.started).astimezone().isoformat(" ", "seconds")
        part = f"shard {self.share}, " if self.share else ""
        ago = time.time() - self.beat
        seen = f"{max(0.0, ago):.0f} s ago"
        if ago < -_STALE_BEATS * self.beat_seconds:
            seen = f"{-ago:.0f} s ahead of this machine's clock"
        return f"{self.user}@{self.host}, process {self.pid}, {part}since {started}, last seen {seen}"

    @property
    def state(self) -> OwnerState:
        """State of the process as far as this machine knows it, without waiting for a heartbeat."""
        if not self.machine or self.machine != _machine():
            return OwnerState.UNKNOWN
        found = _process(self.pid)
        if found is None:
            return OwnerState.UNKNOWN if _is_hidden(self.pid) else OwnerState.ENDED
        state, start = found
        if start != self.process_start or state in _ENDED:
            return OwnerState.ENDED
        return OwnerState.STOPPED if state in _STOPPED else OwnerState.RUNNING

    @property
    def has_recent_beat(self) -> bool:
        """Whether its last heartbeat is within six intervals of this machine's clock, normally a minute.

        False for a heartbeat further in the future, because a record may claim any time.
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
    """Return an id of the running system and the namespace of its process numbers; empty if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _process(pid: int) -> tuple[str, str] | None:
    """Return the state letter and the start, in the system's ticks, of a process; None if none is visible."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return state, fields[18]


def _process_start(pid: int) -> str:
    found = _process(pid)
    return "" if found is None else found[1]


def _is_hidden(pid: int) -> bool:
    """Return whether a process exists that this user may not see (/proc mounted with hidepid)."""
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
