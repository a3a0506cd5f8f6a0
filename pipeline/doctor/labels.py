"""Checks of labels of a user's own clips: missing ones, classes like names of clips, untrained classes."""

from collections.abc import Iterator

from pipeline.datasets.lone_classes import lone_classes
from pipeline.datasets.missing_training import find_missing_training
from pipeline.doctor.finding import Finding
from pipeline.doctor.inputs import Inputs, quoted
from pipeline.errors import counted


def check_labels(inputs: Inputs) -> Iterator[Finding]:
    """Check the labels of a user's own clips. For published datasets, `list_checks` does it."""
    if inputs.published is not None:
        return
    clips = list(inputs.clips.values())
    if what := lone_classes(inputs.class_names, clips):
        yield Finding(kind="classes-of-one", what=what)
    labelled = ((each.fold, each.split, entry.class_name) for each, entry in inputs.lines())
    missing = find_missing_training(labelled)
    if missing.folds:
        yield Finding(kind="fold-untrained", what=missing.of_folds(), cases=missing.folds)
    if missing.classes:
        yield Finding(kind="class-untrained", what=missing.of_classes(), cases=missing.classes)
    without = [clip for clip in clips if clip.label < 0]
    cases = tuple(quoted(clip.clip_id) for clip in without)
    if inputs.name == "folder" and len(without) == len(clips):
        what = f"no directory and no file name gives a class for any of {counted(len(clips), 'clip')}"
        yield Finding(kind="no-labels", what=what, cases=cases)
    elif without:
        in_no_fold = sum(not any(clip.splits) for clip in without)
        outside = f", {in_no_fold} of them in no fold" if in_no_fold else ""
        what = f"{len(without)} of {counted(len(clips), 'clip')} without a label{outside}"
        yield Finding(kind="unlabelled", what=what, cases=cases)
