"""An index of clips becomes a complete cache, block by block; run again, it goes on where it was."""

from collections.abc import Callable

from pipeline.process import ExtractConfig
from pipeline.runner.crew import Crew
from pipeline.runner.follow import follow
from pipeline.runner.opening import open_cache
from pipeline.runner.progress import Speed
from pipeline.runner.report import RunReport, report
from pipeline.runner.tasks import RunOptions, blocks_to_do, tasks_of
from pipeline.store.lock import hold
from pipeline.store.place import Place, Where
from pipeline.types import DatasetIndex


def extract(
    index: DatasetIndex,
    config: ExtractConfig,
    crew: Crew,
    cache: Where,
    options: RunOptions | None = None,
    *,
    on_progress: Callable[[Speed], None] | None = None,
    say: Callable[[str], None] | None = None,
) -> RunReport:
    """Fill the cache with what is missing; create it when it is not there.

    on_progress: told how the run goes, at the start and whenever more is done; by any thread. say: called
    with what is waited for, and with what the encoder's weights were trained with.
    Raises CacheError when another run holds the cache, when the one there was made otherwise or from
    other clips (naming each difference), or when it cannot be written. Whatever interrupts, finished
    blocks stay.
    """
    place, options = Place.of(cache), options or RunOptions()
    with hold(place, options.share, take_over=options.take_over, say=say) as lock:
        brief = crew.brief()
        if say is not None:
            say(f"{config.encoder.name}: {brief.conventions}")
        opening = open_cache(index, config, brief, place, may_grow=options.share is None)
        blocks = blocks_to_do(opening, place, options)
        total = sum(len(rows) for _, rows in blocks)
        tasks = tasks_of(index.root, opening.clips, place, opening.meta, blocks)
        done = follow(crew, tasks, total, brief, lock, on_progress)
        notes = (*lock.notes, *opening.notes, *done.warnings)
        return report(place, total, notes=notes, speed=done.speed if total else None)
