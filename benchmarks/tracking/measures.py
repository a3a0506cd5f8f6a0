"""Measures of tracks: identity F1, switches and fragmentations of everyone, and the subject's person.

Identity measures follow Ristani et al., "Performance Measures and a Data Set for Multi-Target, Multi-Camera
Tracking" (2016). Switches and fragmentations follow Bernardin and Stiefelhagen, "Evaluating Multiple Object
Tracking Performance: The CLEAR MOT Metrics" (2008). A box fits a person at a similarity of at least 0.5.

Letters: U frames; P people; J tracks; K boxes on a frame.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from scipy.optimize import linear_sum_assignment

from benchmarks.tracking.truth import Truth
from pipeline.types import Faces, FaceTrack, Floats, Ints

FITS = 0.5
"""Least similarity, the intersection over union where boxes of faces are known."""
NOT_FOUND, ON_NOBODY = -2, -1
_CONTINUED = 1000.0
"""Weight of a pair that also matched on the frame before, larger than any sum of similarities."""
_ABOUT_LARGEST = 0.95


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """People and boxes of tracks on one frame."""

    people: Ints
    """[P] numbers of the visible people."""
    tracks: Ints
    """[K] the track of every box."""
    similarity_PK: Floats
    """[P, K] 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Counts of one or more clips; the counts of several clips are added."""

    id_true: int = 0
    """IDTP: boxes on the person to whom their track is assigned."""
    boxes: int = 0
    """Boxes of all tracks, IDTP + IDFP."""
    visible: int = 0
    """Visible people over all frames, IDTP + IDFN."""
    switches: int = 0
    """How often a person's matched track differs from the last one that matched."""
    fragmentations: int = 0
    """How often a person is matched again after frames in view without a match."""

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    @property
    def idf1(self) -> float:
        """Return 2 IDTP / (2 IDTP + IDFP + IDFN); 1 if there is neither a person nor a box."""
        return 2 * self.id_true / (self.boxes + self.visible) if self.boxes + self.visible else 1.0

    @property
    def idp(self) -> float:
        """Return the identity precision, IDTP / (IDTP + IDFP); 1 without boxes."""
        return self.id_true / self.boxes if self.boxes else 1.0

    @property
    def idr(self) -> float:
        """Return the identity recall, IDTP / (IDTP + IDFN); 1 without people."""
        return self.id_true / self.visible if self.visible else 1.0


def pairings(truth: Truth, faces: Sequence[Faces], ids: Sequence[Sequence[int]]) -> list[Pairing]:
    """Pair the tracks' boxes with the visible people, frame by frame.

    A box on a person who is in the frame but not visible is left out: it is neither right nor wrong.

    Args:
        truth: Truth of the U frames.
        faces: Detections of the U frames.
        ids: Track of every detection, by frame; negative for none.
    """
    paired = []
    for frame, (found, of_frame) in enumerate(zip(faces, ids, strict=True)):
        track_K = np.array(of_frame, dtype=np.int64)
        box_K4, track_K = found.box_xyxy_px[track_K >= 0], track_K[track_K >= 0]
        similarity_PK = truth.similarity(frame, box_K4)
        visible_P = truth.visible_UP[frame]
        person, box = best_pairs(similarity_PK)
        kept_K = np.ones(len(box_K4), np.bool_)
        kept_K[box[~visible_P[person]]] = False
        paired.append(
            Pairing(
                people=np.flatnonzero(visible_P),
                tracks=track_K[kept_K],
                similarity_PK=similarity_PK[visible_P][:, kept_K],
            )
        )
    return paired


def best_pairs(similarity_PK: Floats) -> tuple[Ints, Ints]:
    """Return rows and columns of the one-to-one pairs that fit, with the largest sum of similarities."""
    fitting = np.where(similarity_PK >= FITS, similarity_PK, 0)
    row, column = linear_sum_assignment(fitting, maximize=True)
    fits = fitting[row, column] > 0
    return row[fits], column[fits]


def count_tracks(frames: Sequence[Pairing]) -> Counts:
    """Return the counts of one clip."""
    switches, fragmentations = _continuity(frames)
    return Counts(
        id_true=_identity_true(frames),
        boxes=sum(len(frame.tracks) for frame in frames),
        visible=sum(len(frame.people) for frame in frames),
        switches=switches,
        fragmentations=fragmentations,
    )


def _identity_true(frames: Sequence[Pairing]) -> int:
    """Return IDTP: the most boxes that a one-to-one assignment of tracks to people over the clip explains."""
    together: dict[tuple[int, int], int] = defaultdict(int)
    for frame in frames:
        for person, box in np.argwhere(frame.similarity_PK >= FITS):
            together[int(frame.people[person]), int(frame.tracks[box])] += 1
    if not together:
        return 0
    people, tracks = (sorted({pair[side] for pair in together}) for side in (0, 1))
    count_PJ = np.zeros((len(people), len(tracks)))
    for (person, track), count in together.items():
        count_PJ[people.index(person), tracks.index(track)] = count
    return int(count_PJ[linear_sum_assignment(count_PJ, maximize=True)].sum())


def _continuity(frames: Sequence[Pairing]) -> tuple[int, int]:
    """Return switches and fragmentations; frames on which a person is not visible are left out."""
    last_track: dict[int, int] = {}
    was_matched: dict[int, bool] = {}
    before: dict[int, int] = {}
    switches = fragmentations = 0
    for frame in frames:
        continued = np.array(
            [[before.get(int(person)) == track for track in frame.tracks] for person in frame.people]
        ).reshape(frame.similarity_PK.shape)
        weight_PK = np.where(frame.similarity_PK >= FITS, frame.similarity_PK + _CONTINUED * continued, 0)
        row, column = linear_sum_assignment(weight_PK, maximize=True)
        fits = weight_PK[row, column] > 0
        before = {
            int(frame.people[p]): int(frame.tracks[k]) for p, k in zip(row[fits], column[fits], strict=True)
        }
        for person in (int(number) for number in frame.people):
            if person in before:
                switches += last_track.get(person, before[person]) != before[person]
                fragmentations += person in last_track and not was_matched[person]
                last_track[person] = before[person]
            was_matched[person] = person in before
    return switches, fragmentations


@dataclass(frozen=True, kw_only=True)
class SubjectCheck:
    """On whom the subject's track is."""

    person_U: tuple[int, ...]
    """Per frame the person's number, ON_NOBODY if the box is on no face, NOT_FOUND if not marked found."""
    num_visible: int
    """Frames on which the person of most frames is visible."""
    num_followed: int
    """Of these, frames that are marked found and whose box is on this person."""
    is_largest: bool
    """Whether this person's sum of sides over the visible frames is at least 0.95 of the largest sum."""
    num_with_anyone: int
    """Frames on which anyone is visible."""
    num_covered: int
    """Of these, frames that are marked found and whose box is on a face."""

    @property
    def num_people(self) -> int:
        """Number of people on whom the track is; more than one means that it changes person."""
        return len({person for person in self.person_U if person >= 0})

    @property
    def num_changes(self) -> int:
        """How often the person differs from the person before."""
        on = [person for person in self.person_U if person >= 0]
        return sum(one != other for one, other in zip(on, on[1:], strict=False))

    @property
    def frames_on_nobody(self) -> tuple[int, ...]:
        """Frames that are marked found although the box is on no face."""
        return tuple(frame for frame, person in enumerate(self.person_U) if person == ON_NOBODY)


def check_subject(truth: Truth, track: FaceTrack) -> SubjectCheck:
    """Determine on whom the subject's box is, on every frame that is marked found.

    A box is on the visible person whom it fits best, otherwise on the hidden person whom it fits best.
    """
    person_U = [
        _person_at(truth, frame, box) if found else NOT_FOUND
        for frame, (box, found) in enumerate(zip(track.box_xyxy_px, track.found, strict=True))
    ]
    on = [person for person in person_U if person >= 0]
    anyone_U = truth.visible_UP.any(axis=1)
    main = int(np.bincount(on).argmax()) if on else None
    visible_U = np.zeros_like(anyone_U) if main is None else truth.visible_UP[:, main]
    side_UP = np.sqrt((truth.box_UP4[..., 2:] - truth.box_UP4[..., :2]).prod(axis=2))
    weight_P = np.where(truth.visible_UP, np.nan_to_num(side_UP), 0).sum(axis=0)
    return SubjectCheck(
        person_U=tuple(person_U),
        num_visible=int(visible_U.sum()),
        num_followed=int((visible_U & (np.array(person_U) == main)).sum()),
        is_largest=main is not None and bool(weight_P[main] >= _ABOUT_LARGEST * weight_P.max()),
        num_with_anyone=int(anyone_U.sum()),
        num_covered=int((anyone_U & (np.array(person_U) >= 0)).sum()),
    )


def _person_at(truth: Truth, frame: int, box_4: Floats) -> int:
    similarity_P = truth.similarity(frame, box_4[None])[:, 0]
    visible_P = truth.visible_UP[frame]
    for candidates_P in (np.where(visible_P, similarity_P, 0), similarity_P):
        if len(candidates_P) and candidates_P.max() >= FITS:
            return int(candidates_P.argmax())
    return ON_NOBODY
