"""Terminal and JSON form of a training run and its profile."""

from typing import Any

from pipeline.display.json_values import field_values, to_json_values
from pipeline.display.text import lines
from pipeline.errors import counted
from trainer.added_cache import AddedCache
from trainer.profile import WARM_UP_STEPS, Profile
from trainer.run_info import RunInfo
from trainer.training_result import EpochReport, TrainResult, epoch_record, evaluate_command
from trainer.training_set import left_out_text

_MS = 1e3


@to_json_values.register
def _(report: EpochReport) -> dict[str, Any]:
    return epoch_record(report)


@to_json_values.register
def _(result: TrainResult) -> dict[str, Any]:
    return field_values(result) | {"banners": to_json_values(result.info.banners)}


@lines.register
def _(result: TrainResult) -> list[str]:
    best, left_out = result.best.validation, [f"{n} {why}" for why, n in result.left_out.items() if n]
    overfit = result.info.overfit_epoch
    info = result.info
    clips = " and ".join([counted(result.num_train, "clip"), *info.added_clips])
    return [
        *(f"!! {banner}" for banner in info.banners),
        f"{result.run_dir}: best epoch {result.best.epoch} of {result.num_epochs}, by the "
        f"{info.chosen_number} on "
        f"{counted(result.num_validation, 'validation clip')} ({info.selection}): {best.loss:.4f}, "
        f"WAR {best.war:.2%}, UAR {best.uar:.2%}",
        f"  trained on {clips}, {info.precision}; {result.residence}",
        *([f"  left out: {', '.join(left_out)}"] if left_out else []),
        *(line for added in info.added_caches for line in _added_lines(added, info.class_names)),
        *([f"  above schedule.overfit_accuracy since epoch {overfit}: overfit (IV-A)"] if overfit else []),
        _temperature_line(info),
        *(f"  note: {note}" for note in result.notes),
        *([] if result.profile is None else [f"  {line}" for line in lines(result.profile)]),
        f"  next: {evaluate_command(result.run_dir, result.next_split)}",
    ]


def _added_lines(added: AddedCache, class_names: tuple[str, ...]) -> list[str]:
    """Return lines on the clips and the classes of a further cache; [] if there is nothing to note."""
    left_out, changes = left_out_text(added.left_out), added.class_changes(class_names)
    return [
        *([f"  left out of {added.name}: {left_out}"] if left_out else []),
        *([f"  classes of {added.name}: {changes}"] if changes else []),
    ]


def _temperature_line(info: RunInfo) -> str:
    if info.not_calibrated:
        return f"  no temperature: {info.not_calibrated}"
    errors = f"{info.ece_before:.2%} without and {info.ece_after:.2%} with it"
    return f"  temperature {info.temperature:.3g}; calibration error (ECE) of the validation clips {errors}"


@lines.register
def _(profile: Profile) -> list[str]:
    if not profile.num_steps:
        return [f"no profile: the run had no more than {WARM_UP_STEPS} steps, which are not timed"]
    whole = sum(profile.parts.values())
    waits = "; each part was synchronised with the device, unlike in an ordinary step" * profile.waits
    return [
        f"a step took {profile.step * _MS:.1f} ms (median of {profile.num_steps}, the first {WARM_UP_STEPS} "
        f"left out{waits}); its parts, each by its own median:",
        *(
            f"  {name:<22} {seconds * _MS:8.1f} ms  {seconds / whole:6.1%}"
            for name, seconds in profile.parts.items()
        ),
        "beside the steps: " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in profile.once.items()),
    ]
