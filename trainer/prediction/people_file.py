"""The people file: names that a user gives to people and tracks -> the people of a prediction.

A line gives a name to a person or to one track. Equal names are one person::

    P2 = Anna
    s03p1 = Anna     # a track, in the place of its person's name
    P4 = unknown     # may be several people
    P5 = drop        # left out, for example because it is no face

Nothing is computed for it: windows belong to tracks, and only the people that the tracks belong to change.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from pipeline.errors import ConfigError, counted, printable, some
from pipeline.plain_file import read_given_text
from trainer.prediction.results import UNKNOWN, PersonTracks, Prediction

MAX_BYTES = 1 << 20
DROP = "drop"
"""Name of people and tracks that are left out."""
_MAX_NAME = 80
_SHOWN = 8
_COMMENT = "#"
T = TypeVar("T")


def read_people_file(path: Path) -> dict[str, tuple[int, str]]:
    """Return the names in a people file.

    Args:
        path: A UTF-8 text file of at most 1 MiB.

    Returns:
        Person or track -> number of its line, from 1, and its new name.

    Raises:
        FileError: The file cannot be read, or is not UTF-8.
        ConfigError: A line has another form, an empty or long name, a name with
            characters that do not print, or a person or track that an earlier line has.
    """
    return parse_people(read_given_text(path, MAX_BYTES), printable(str(path)))


def parse_people(text: str, where: str) -> dict[str, tuple[int, str]]:
    """Return the names in the text of a people file. See `read_people_file`.

    Args:
        text: Text of the file.
        where: Name of the file for messages.
    """
    found: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        content = line.split(_COMMENT, 1)[0].strip()
        if not content:
            continue
        key, equals, name = (part.strip() for part in content.partition("="))
        place = f"People file '{where}', line {number}"
        if not equals or not key or not name:
            msg = f"{place}: '{_short(content)}' is not of the form 'P2 = Anna' or 's03p1 = Anna'."
            raise ConfigError(msg)
        if len(name) > _MAX_NAME or printable(name) != name:
            msg = f"{place}: the name '{_short(name)}' needs at most {_MAX_NAME} characters that print."
            raise ConfigError(msg)
        if key in found:
            msg = f"{place}: '{_short(key)}' has a name already, in line {found[key][0]}; remove one of them."
            raise ConfigError(msg)
        found[key] = (number, name)
    return found


def with_people(
    prediction: Prediction, names: Mapping[str, tuple[int, str]], where: str = "people file"
) -> Prediction:
    """Return a prediction with the people that a people file names.

    A track that has a line of its own takes this name, not that of its person. The order of people remains;
    a merged person has the place of its first part, and `UNKNOWN` is last. Tracks with the name `DROP` are
    left out with their windows and faces.

    Args:
        prediction: The prediction, with the people that it found itself.
        names: Result of `read_people_file`.
        where: Name of the file for messages.

    Raises:
        ConfigError: There is no such person or track.
    """
    people = prediction.people
    known = {person.name for person in people} | {track for person in people for track in person.tracks}
    for key, (number, _) in names.items():
        if key not in known:
            msg = (
                f"People file '{where}', line {number}: there is no person or track '{_short(key)}'; "
                f"there are {_existing(people)}."
            )
            raise ConfigError(msg)
    renamed = _renamed(prediction, {key: name for key, (_, name) in names.items()})
    dropped = tuple(track for person in renamed if person.name == DROP for track in person.tracks)
    if not dropped:
        return replace(prediction, people=renamed)
    keys = some([printable(key) for key, (_, name) in names.items() if name == DROP], _SHOWN)
    file = printable(Path(where).name)
    note = f"left out by people file '{file}': {keys} ({counted(len(dropped), 'track')})"
    return replace(
        prediction,
        people=tuple(person for person in renamed if person.name != DROP),
        windows=tuple(window for window in prediction.windows if window.track not in dropped),
        faces=tuple(face for face in prediction.faces if face.track not in dropped),
        notes=(*prediction.notes, note),
        dropped=dropped,
    )


def of_kept_windows(values: Mapping[int, T], prediction: Prediction, named: Prediction) -> dict[int, T]:
    """Return values by the index of their window in a prediction without the people who were left out.

    Args:
        values: By index of the window in `prediction`; those of windows that were left out are too.
        prediction: The prediction with all windows.
        named: Result of `with_people` for it.
    """
    kept = [index for index, one in enumerate(prediction.windows) if one.track not in named.dropped]
    return {place: values[index] for place, index in enumerate(kept) if index in values}


def _renamed(prediction: Prediction, names: Mapping[str, str]) -> tuple[PersonTracks, ...]:
    tracks_of: dict[str, list[str]] = {}
    margins: dict[str, list[float]] = {}
    for person in prediction.people:
        kept = [track for track in person.tracks if track not in names]
        for track in person.tracks:
            name = names.get(track, names.get(person.name, person.name))
            tracks_of.setdefault(name, []).append(track)
        if len(kept) > 1:  # these were joined by look; all other joins are the user's
            margins.setdefault(names.get(person.name, person.name), []).append(person.margin)
    first = _first_frames(prediction)
    found = [
        PersonTracks(
            name=name,
            tracks=tuple(sorted(tracks, key=lambda track: (first.get(track, 0), track))),
            margin=min(margins.get(name, [math.inf])),
        )
        for name, tracks in tracks_of.items()
    ]
    return tuple(sorted(found, key=lambda person: person.name == UNKNOWN))


def _first_frames(prediction: Prediction) -> dict[str, int]:
    first: dict[str, int] = {}
    for window in prediction.windows:
        first[window.track] = min(window.first_frame, first.get(window.track, window.first_frame))
    for face in prediction.faces:
        first[face.track] = min(face.frame, first.get(face.track, face.frame))
    return first


def _existing(people: Sequence[PersonTracks]) -> str:
    if not people:
        return "no people in this video"
    names = some([printable(person.name) for person in people], _SHOWN)
    tracks = some([printable(track) for person in people for track in person.tracks], _SHOWN)
    return f"the people {names}, and the tracks {tracks}"


def _short(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _MAX_NAME else text[:_MAX_NAME] + "..."
