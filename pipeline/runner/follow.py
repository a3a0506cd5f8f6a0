"""A crew's work followed to its end: counted, shown, and stopped when the lock is lost."""

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass

from pipeline.runner.crew import Crew
from pipeline.runner.progress import Progress, Speed
from pipeline.runner.work import BlockTask, Brief
from pipeline.store.lock import Lock


@dataclass(frozen=True, kw_only=True)
class Followed:
    """How the work went.

    num_damaged: clips done in spite of damage. num_beyond_end: clips done whose window ends after the file.
    warnings: of the workers, each once.
    """

    speed: Speed
    num_damaged: int
    num_beyond_end: int
    warnings: tuple[str, ...]


def follow(
    crew: Crew,
    tasks: Iterable[BlockTask],
    total: int,
    brief: Brief,
    lock: Lock,
    on_progress: Callable[[Speed], None] | None = None,
) -> Followed:
    """Have the crew do the tasks while the lock is held.

    total: clips of the tasks that have a file.
    brief: the crew's. on_progress: told at the start and whenever more is done; by any thread. Raises
    CacheError when another run has taken the lock, and what the crew raises.
    """
    progress = Progress(total, brief, crew.num_workers)
    warnings: list[str] = []
    num_damaged = num_beyond_end = 0

    def show(clips: float) -> None:
        progress.advance(clips)
        if on_progress is not None:
            on_progress(progress.speed(is_waiting=crew.is_waiting))

    show(0.0)
    with closing(crew.run(tasks, show, lock.require_held)) as reports:
        for done in reports:
            progress.finish(done)
            num_damaged += done.num_damaged
            num_beyond_end += done.num_beyond_end
            warnings += [warning for warning in done.warnings if warning not in warnings]
            show(0.0)
            lock.check()
    return Followed(
        speed=progress.speed(),
        num_damaged=num_damaged,
        num_beyond_end=num_beyond_end,
        warnings=tuple(warnings),
    )
