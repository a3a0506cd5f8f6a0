"""Who holds a lock: a process, told apart from others of its number, with its last sign of life."""

import dataclasses
import getpass
import json
import os
import secrets
import socket
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

BEAT_SECONDS = 10.0
_STALE_BEATS = 6


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who holds a lock. share: "" for all of the cache. process_start: tells a reused pid apart.

    machine: the running system and its process numbers' namespace. started, beat: wall clock,
    seconds; beat is the last sign of life. token: of this one taking of the lock.
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
        """The holder of a record; one without a sign of life where the record is damaged."""
        unknown = cls(
            token="", user="unknown", host="unknown", machine="", pid=0, process_start="", share="",
            started=0.0, beat=0.0, beat_seconds=BEAT_SECONDS,
        )  # fmt: skip
        try:
            found = json.loads(value)
            types = {f.name: type(getattr(unknown, f.name)) for f in dataclasses.fields(cls)}
            holder = cls(**{name: kind(found[name]) for name, kind in types.items()})
            return holder if str(holder) and holder.beat_seconds > 0 else unknown
        except (ValueError, TypeError, LookupError, OverflowError, OSError):
            return unknown

    def to_bytes(self) -> bytes:
        """As a record."""
        return json.dumps(dataclasses.asdict(self)).encode()

    def __str__(self) -> str:
        started = datetime.fromtimestamp(self.started).astimezone().isoformat(" ", "seconds")
        ago = max(0.0, time.time() - self.beat)
        part = f"share {self.share}, " if self.share else ""
        return (
            f"{self.user}@{self.host}, process {self.pid}, {part}since {started}, last seen {ago:.0f} s ago"
        )

    @property
    def is_dead(self) -> bool:
        """Whether the process is known to have ended: it ran on this machine, and runs no more."""
        return bool(self.machine) and self.machine == _machine() and (
            _process_start(self.pid) != self.process_start
        )  # fmt: skip

    @property
    def missed_beats(self) -> bool:
        """Whether its last sign of life is too old, by this machine's clock."""
        return time.time() - self.beat > _STALE_BEATS * self.beat_seconds


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _machine() -> str:
    """Names the running system and the namespace of its process numbers; "" where it cannot be told."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _process_start(pid: int) -> str:
    """When the process of that number began, in the system's ticks; "" when there is none that runs."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state in ("Z", "X") else fields[18]
