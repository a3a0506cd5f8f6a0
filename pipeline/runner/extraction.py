"""Extraction of an index of clips into a complete cache, block by block. A second call resumes it."""

from collections.abc import Callable
from contextlib import nullcontext

from pipeline.errors import counted, some
from pipeline.footage import Leaks
from pipeline.process import ExtractConfig
from pipeline.program import command
from pipeline.runner.cache_setup import Opening, describe, open_cache, require_same_settings
from pipeline.runner.progress import Speed
from pipeline.runner.reuse import EarlierCache
from pipeline.runner.run_loop import BlockExecutor, run_blocks
from pipeline.runner.run_report import RunReport, report
from pipeline.runner.tasks import RunOptions, Workload, blocks_to_do, tasks_of
from pipeline.runner.worker import model_info, unloaded_model_info
from pipeline.store.location import Location, LocationLike
from pipeline.store.lock import Lock, hold
from pipeline.store.reader import FeatureCache
from pipeline.types import DatasetIndex


def extract(
    index: DatasetIndex,
    config: ExtractConfig,
    executor: BlockExecutor,
    cache: LocationLike,
    options: RunOptions | None = None,
    *,
    on_progress: Callable[[Speed], None] | None = None,
    say: Callable[[str], None] | None = None,
    known_leaks: Leaks | None = None,
    lock: Lock | None = None,
) -> RunReport:
    """Compute all pending clips of a cache, which is created if it does not exist.

    Finished blocks stay, whatever interrupts the run.

    Args:
        index: The clips.
        config: The settings of all steps.
        executor: The workers.
        cache: Location of the cache.
        options: Options of the run; None for the defaults.
        on_progress: Called with the speed at the start and after each progress, by any thread.
        say: Called with remarks for people, such as a wait for the lock, or the conventions with which the
            encoder's weights were trained.
        known_leaks: Leaks that the user has seen; the report's lines show only others.
        lock: The cache's lock if the caller holds it; None to take it here.

    Returns:
        The state of the cache after the run.

    Raises:
        CacheError: Another run holds the cache; an existing one has other settings, models or clips (the
            message names each difference); it cannot be written; or an earlier cache does not fit.
        OusError: Workers died twice at a block.
    """
    place, options = Location.of(cache), options or RunOptions()
    held = nullcontext(lock) if lock else hold(place, options.shard, take_over=options.take_over, say=say)
    with held as lock:
        if options.reuse:
            FeatureCache.open(options.reuse).close()  # a missing one is reported before models are loaded
        require_same_settings(unloaded_model_info(executor), place)
        info = model_info(executor, say)
        if say is not None:
            say(f"{config.encoder.name}: {info.conventions}")
        lock.check()
        earlier = None
        if options.reuse:  # before a cache is created, so that a rejected run leaves none
            earlier = EarlierCache.open(options.reuse, info.identity, describe(index, config, info))
        opening = open_cache(index, config, info, place, may_grow=options.shard is None)
        workload = Workload.of(index.root, opening.clips, blocks_to_do(opening, options))
        if say is not None and workload.missing:
            say(_missing(workload, opening))
        tasks = tasks_of(index.root, opening.clips, lock.claim, opening.meta, workload, earlier)
        done = run_blocks(executor, tasks, workload.num_there, info, lock, on_progress)
        return report(
            place,
            workload.num_there,
            num_missing=len(workload.missing),
            num_damaged=done.num_damaged,
            num_reused=done.num_reused if options.reuse else None,
            notes=(*lock.notes, *opening.notes, *done.warnings, *_beyond_end(done.num_beyond_end, place)),
            speed=done.speed if workload.num_clips else None,
            known_leaks=known_leaks,
        )


def _beyond_end(number: int, place: Location) -> list[str]:
    if not number:
        return []
    return [
        f"{counted(number, 'clip')} done with an end_seconds after the end of the file; "
        f"`{command('cache', 'info', place, '--all-clips')}` lists them"
    ]


def _missing(workload: Workload, opening: Opening) -> str:
    ids = workload.missing_ids(opening.clips)
    return (
        f"note: {len(ids)} of {counted(workload.num_clips, 'clip')} to do have no file ({some(ids)}); they "
        "are recorded as failed, and count neither as progress nor in rates"
    )
