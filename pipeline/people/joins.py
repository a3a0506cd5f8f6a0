"""People of a clip, from the tracklets of all shots, which are joined by look.

Letters: M tracklets; N detections of a tracklet.
"""

import math
from collections.abc import Sequence

import numpy as np

from pipeline.people.config import PeopleConfig
from pipeline.types import Person, Tracklet

_OTHER_LOOK = 0.6
"""Distance of looks that most pairs of two people exceed (benchmarks/results/tracking.json). It stands for a
person who could be meant but is not in view."""


def join(tracklets: Sequence[Tracklet], config: PeopleConfig) -> tuple[Person, ...]:
    """Join tracklets that show one person, in several shots or before and after an absence.

    Pairs are joined from the smallest distance of looks on. A pair must be nearer to each other, by the
    margin, than either is to a tracklet that is seen together with the other and is therefore another person.

    Args:
        tracklets: The tracklets of all shots.
        config: Settings.

    Returns:
        The people, the one with the largest weight first.
    """
    if not tracklets:
        return ()
    looks = np.array([tracklet.look_D for tracklet in tracklets])
    distance_MM = np.linalg.norm(looks[:, None] - looks, axis=2)
    frames = [set(tracklet.frame_N.tolist()) for tracklet in tracklets]
    together = [
        [other for other in range(len(frames)) if other != one and frames[one] & frames[other]]
        for one in range(len(frames))
    ]
    groups = {place: [place] for place in range(len(tracklets))}
    margins = dict.fromkeys(groups, math.inf)
    group_of = list(groups)
    pairs = np.argwhere(np.triu(distance_MM <= config.join_distance, 1))
    for one, other in pairs[np.argsort(distance_MM[tuple(pairs.T)], kind="stable")].tolist():
        a, b = group_of[one], group_of[other]
        if a == b or any(frames[m] & frames[n] for m in groups[a] for n in groups[b]):
            continue
        distance = float(distance_MM[one, other])
        rivals = [float(distance_MM[one, third]) for third in together[other]]
        rivals += [float(distance_MM[other, third]) for third in together[one]]
        if min(rivals, default=math.inf) < distance + config.join_margin:
            continue
        second = min([*rivals, _OTHER_LOOK])
        nats = (second**2 - distance**2) / (2 * config.look_distance**2)
        margins[a] = min(margins[a], margins.pop(b), max(0.0, nats))
        for place in groups[b]:
            group_of[place] = a
        groups[a] += groups.pop(b)
    by_weight = sorted(groups, key=lambda name: sum(tracklets[m].weight for m in groups[name]), reverse=True)
    return tuple(
        Person(
            tracklets=tuple(tracklets[place] for place in sorted(groups[name])),
            number=number,
            margin=margins[name],
        )
        for number, name in enumerate(by_weight, 1)
    )
