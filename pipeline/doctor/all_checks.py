"""All checks of a dataset, one after the other. Nothing is written."""

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from pipeline.config import require_range
from pipeline.doctor.counts import check_counts
from pipeline.doctor.decode_checks import Opened, check_opened, describe
from pipeline.doctor.duplicates import check_content, clips_by_file, suspects
from pipeline.doctor.finding import Finding
from pipeline.doctor.finding_kinds import KINDS, Severity
from pipeline.doctor.frame_counts import check_numbers
from pipeline.doctor.groups import check_groups
from pipeline.doctor.inputs import Inputs
from pipeline.doctor.labels import check_labels
from pipeline.doctor.list_checks import check_lists
from pipeline.doctor.load import load_inputs
from pipeline.doctor.missing_files import check_files, unlisted
from pipeline.doctor.report import DoctorReport
from pipeline.doctor.scan import OnDisk, scan_files
from pipeline.doctor.split_counts import count_clips
from pipeline.errors import counted
from pipeline.types import ReadOptions

_GIGABYTE = 10**9

Bar: TypeAlias = Callable[[str, int], Callable[[], None]]
"""Starts a progress bar with a name and a number of steps, and returns a function to call after each step."""


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """Options of a check. is_deep: decode every clip. num_frames: frames per clip of the later extraction."""

    reading: ReadOptions = ReadOptions()
    is_deep: bool = False
    num_frames: int = 16

    def __post_init__(self) -> None:
        require_range("--frames", self.num_frames, 1, 512)


def check(name: str, root: Path, options: CheckOptions, bar: Bar) -> DoctorReport:
    """Check the lists and files of a dataset, and with `is_deep` every clip.

    Args:
        name: Name of the dataset, as for `read_dataset`.
        root: Its directory.
        options: Options of the check.
        bar: Starts a progress bar.

    Raises:
        ConfigError: The name or an option is unknown.
        DatasetError: There is no such dataset at the root.
    """
    inputs, findings = load_inputs(name, root, options.reading)
    findings += [*check_counts(inputs), *check_lists(inputs), *check_labels(inputs)]
    findings += check_groups(inputs)
    paths = {clip_id: clip.path for clip_id, clip in inputs.clips.items()}
    on_disk = scan_files(inputs.root, paths, bar("looking at files", len(paths)))
    crops = scan_files(inputs.root, inputs.crops, bar("looking at face crops", len(inputs.crops)))
    findings += check_files(inputs, on_disk, crops)
    files = clips_by_file(inputs, on_disk)
    candidates = suspects(inputs, on_disk, files)
    on_file = bar("comparing files of one size", len(candidates))
    findings += check_content(inputs, on_disk, files, candidates, on_file)
    opened = _opened(inputs, on_disk, options, bar) if options.is_deep else {}
    findings += check_opened(inputs, opened)
    frames = _numbers_of_pictures(on_disk)
    frames |= {clip_id: one.num_frames for clip_id, one in opened.items() if not one.failure}
    findings += check_numbers(inputs, frames, _numbers_of_pictures(crops), options.num_frames)
    if inputs.refusal and not any(finding.severity is Severity.ERROR for finding in findings):
        findings.append(Finding(kind="not-read", what=inputs.refusal))
    order = list(KINDS)
    return DoctorReport(
        dataset=name,
        root=str(root),
        class_names=inputs.class_names,
        counts=count_clips(inputs),
        findings=tuple(sorted(findings, key=lambda finding: (finding.severity, order.index(finding.kind)))),
        facts=(*_facts(inputs, on_disk), *describe(opened)),
        is_deep=options.is_deep,
    )


def _numbers_of_pictures(on_disk: Mapping[str, OnDisk]) -> dict[str, int]:
    """Return the number of images by clip id, for every directory that has images in a clear order."""
    return {
        key: len(found.pictures) for key, found in on_disk.items() if found.pictures and not found.unclear
    }


def _opened(
    inputs: Inputs, on_disk: Mapping[str, OnDisk], options: CheckOptions, bar: Bar
) -> dict[str, Opened]:
    """Open every clip that has a file, or a directory of images."""
    from pipeline.doctor.decoding import add_headers, open_all  # loads torch, which takes seconds

    there = [
        clip
        for clip_id, clip in inputs.clips.items()
        if (on_disk[clip_id].num_bytes if on_disk[clip_id].form == "file" else on_disk[clip_id].pictures)
    ]
    on_clip = bar("opening clips", len(there))
    opened = open_all(inputs.root, there, options.num_frames, len(os.sched_getaffinity(0)), on_clip)
    return add_headers(inputs.root, there, opened, bar("reading headers", len(there)))


def _forms(inputs: Inputs, on_disk: Mapping[str, OnDisk]) -> str:
    """Describe the forms of the clips on disk, in words; empty if there are none."""
    names = {"file": "videos", "folder": "face crops" if inputs.form == "crops" else "directories of frames"}
    forms = Counter(names[found.form] for found in on_disk.values() if found.form in names)
    if len(forms) == 1:
        return f", as {next(iter(forms))}"
    return f", as {' and '.join(f'{many} {form}' for form, many in sorted(forms.items()))}" if forms else ""


def _facts(inputs: Inputs, on_disk: Mapping[str, OnDisk]) -> list[str]:
    """Describe the checked lists and clips by their forms."""
    kinds = Counter(each.kind for each in inputs.lists if each.kind)
    facts = [f"lists       {many} of {kind}" for kind, many in kinds.items()]
    there = sum(found.form in ("file", "folder") for found in on_disk.values())
    num_bytes = sum(found.num_bytes for found in on_disk.values())
    large = f"{num_bytes / 1e9:.1f} GB" if num_bytes >= _GIGABYTE else f"{num_bytes / 1e6:.1f} MB"
    size = f", {large}" if num_bytes else ""
    facts.append(f"clips       {there} of {len(on_disk)} there{_forms(inputs, on_disk)}{size}")
    if inputs.crops:
        facts.append(f"face crops  beside {counted(len(inputs.crops), 'clip')}")
    extra, expected = unlisted(inputs)
    if extra:
        left_out = f"; the authors leave out {expected}" if expected else ""
        facts.append(f"in no list  {counted(len(extra), 'clip')}{left_out}")
    return [*facts, *(f"note        {note}" for note in inputs.notes)]
