"""Groups of clips in two splits of a fold, so that test clips are partly known from training."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from pipeline.doctor.finding import Finding
from pipeline.doctor.inputs import Inputs, quoted
from pipeline.errors import counted


def check_groups(inputs: Inputs) -> Iterator[Finding]:
    """Report groups that the dataset names and that have labelled clips in several splits of a fold.

    `pipeline.doctor.duplicates` checks windows of one file without a named group.
    """
    members: dict[str, list[str]] = defaultdict(list)
    for clip_id, clip in inputs.clips.items():
        if clip.group and clip.label >= 0:
            members[clip.group].append(clip_id)
    cases, groups = [], set()
    for group, clip_ids in sorted(members.items()):
        for fold in inputs.fold_names:
            counts = Counter(
                split for clip_id in clip_ids for split in inputs.splits_of.get(clip_id, {}).get(fold, ())
            )
            if len(counts) > 1:
                many = ", ".join(f"{number} {split.name.lower()}" for split, number in sorted(counts.items()))
                cases.append(f"{quoted(group)}: {many} (fold {fold})")
                groups.add(group)
    if cases:
        of_all = f"{len(groups)} of {counted(len(members), 'group')}"
        yield Finding(
            kind="group-split", what=f"{of_all} with clips in two splits of a fold", cases=tuple(cases)
        )
