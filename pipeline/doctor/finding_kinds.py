"""Kinds of findings: every problem that a dataset can have, with its remedy."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from pipeline.datasets import lone_classes, missing_training


class Severity(IntEnum):
    """Severity of a finding. An error makes results wrong, a note does not affect them."""

    ERROR = 0
    WARNING = 1
    NOTE = 2

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Kind of finding: its meaning, the remedy, and whether only --deep finds it."""

    severity: Severity
    meaning: str
    remedy: str
    deep: bool = False


def _error(meaning: str, remedy: str, *, deep: bool = False) -> Kind:
    return Kind(severity=Severity.ERROR, meaning=meaning, remedy=remedy, deep=deep)


def _warning(meaning: str, remedy: str, *, deep: bool = False) -> Kind:
    return Kind(severity=Severity.WARNING, meaning=meaning, remedy=remedy, deep=deep)


def _note(meaning: str, remedy: str, *, deep: bool = False) -> Kind:
    return Kind(severity=Severity.NOTE, meaning=meaning, remedy=remedy, deep=deep)


_LISTS: Mapping[str, Kind] = {
    "not-read": _error(
        "extraction would reject the dataset, or one of its lists cannot be read",
        "correct the problem in the message; extraction rejects the dataset for the same reason",
    ),
    "list-missing": _error(
        "a fold has a list for one of its splits and none for the other",
        "get both lists of the fold from the authors' archive",
    ),
    "fold-missing": _note(
        "a published fold has no lists at all",
        "copy its lists into the tree if results are to be the mean of all folds",
    ),
    "first-line-lost": _error(
        "a list has one clip less than published, as if a program had taken the first line of a list without "
        "a header for one",
        "take the list from the authors' archive, or put its first line back",
    ),
    "split-count": _error(
        "a list holds more or fewer clips than its authors publish",
        "compare it with the authors' list; results with another list are not comparable with published ones",
    ),
    "class-count": _error(
        "a list has the published number of clips, but not of each class",
        "compare its labels with the authors' list",
    ),
    "label-order": _error(
        "the order of a list's integers is unknown, or directory names or class counts contradict it; "
        "counts are shown by integer, unless the order is known",
        "give a list of class names, the authors' list, or --label-order with an order that the counts allow",
    ),
    "folder-label": _error(
        "the directory of a clip names another class than its line",
        "find out which is correct, usually the directory; if most lines of a list differ, its integers are "
        "in another order",
    ),
    "clip-unknown": _error(
        "a line of a list names no clip of the dataset",
        "correct the line, or remove it",
    ),
    "unlabelled": _note(
        "clips of a user's own have no label: they are extracted, and training leaves them out",
        "nothing, if their features are all you need; else add labels, after extraction by `cache relabel`",
    ),
    "label-unknown": _error(
        "a line's label is not a class of the dataset",
        "correct the line; name the order of integers with --label-order",
    ),
    "two-labels": _error(
        "one clip has two labels, in one list or in several",
        "find out which is correct; if it is nearly all clips, lists count classes in two orders",
    ),
    "listed-twice": _warning(
        "one clip occurs twice in a list and would count twice",
        "remove the second line",
    ),
    "leak": _error(
        "the same clip is in training and in test of a fold",
        "take the authors' lists, or remove it from one of the two",
    ),
    "test-overlap": _error(
        "the same clip is in the test sets of two folds",
        "take the authors' lists: the test sets of the folds share no clip",
    ),
    "test-gap": _error(
        "all folds are there, and clips of the lists are in no fold's test set",
        "take the authors' lists: the test sets of the folds hold every clip once",
    ),
    "classes-of-one": _warning(
        "most classes of a user's own clips have one clip; they may be names of clips or people",
        lone_classes.REMEDY,
    ),
    "class-untrained": _warning(
        "a class of a user's own clips has test or validation clips in a fold, and no training clips",
        missing_training.CLASS_REMEDY,
    ),
    "fold-untrained": _warning(
        "a fold of a user's own clips has test or validation clips, and no training clips",
        missing_training.FOLD_REMEDY,
    ),
    "no-labels": _warning(
        "a directory of clips gives none of them a label: features can be extracted, but no model trained",
        "nothing, if features are all you need; else put the clips into directories named after classes, or "
        "list them in a manifest with the columns path,label,split",
    ),
    "padding-mixed": _note(
        "lists write numbers both with and without leading zeros",
        "nothing for this program; others may look for '1' and '00001' as two clips",
    ),
    "header-mixed": _note(
        "some lists have a header line and others have none",
        "if a list of the authors has lost its header, put it back; DFEW's header shows the label order",
    ),
    "crlf": _note(
        "lists end their lines with CRLF",
        "nothing for this program; others may read the last label as 'Fear\\r'",
    ),
    "votes-missing": _warning(
        "the annotators' votes of listed clips are missing",
        "take the annotation file from the authors' archive",
    ),
    "votes-label": _error(
        "a clip's label is not the class that most of its annotators chose",
        "the integers are in another label order (--label-order), or the votes are of other clips: take both "
        "from the authors' archive",
    ),
    "votes-sum": _warning(
        "the annotators' votes of a clip have another sum than those of the other clips",
        "compare its row with the authors' annotation file",
    ),
}

_FILES: Mapping[str, Kind] = {
    "clip-missing": _error(
        "a listed clip is not on disk",
        "unpack the authors' archive again, or correct --root; extraction records each as failed",
    ),
    "path-missing": _error(
        "nothing is at a path of a manifest",
        "correct the path, or move the manifest: paths start from its directory, and a note names the forms "
        "that were tried; extraction records each as failed",
    ),
    "clip-unlisted": _warning(
        "clips on disk are in no list, and they are more than the authors leave out",
        "nothing, if they are yours; else check whether a list is cut short",
    ),
    "file-empty": _error("a clip's file has no bytes", "copy or unpack the file again"),
    "folder-empty": _error("a clip's directory holds no images", "extract its frames again"),
    "link-dangling": _error(
        "a clip is a link to a file that does not exist, such as of git-annex",
        "fetch the file, such as with `git annex get`, or copy it to where the link is",
    ),
    "not-a-file": _error(
        "the path of a clip is neither a file nor a directory of images",
        "replace it with the clip",
    ),
    "name-twice": _error(
        "two files are one clip by their names, such as 1.mp4 and 00001.mp4",
        "keep the one that is the clip",
    ),
    "name-unknown": _note(
        "the name or suffix of a file among the clips is not that of a clip",
        "nothing, if it is not a clip; else rename it",
    ),
    "short": _note(
        "a clip has fewer frames than requested; its last one is repeated",
        "nothing, if the authors' clips are like that; else fewer --frames",
    ),
    "frames-unclear": _error(
        "two images of a clip, or two of its face crops, have one number, or their names are of several "
        "series, such as frames and masks",
        "keep one series in the directory, each number once; extraction records the clip as failed",
    ),
    "frame-gaps": _warning(
        "the images of a clip are not numbered without gaps: frames are missing",
        "extract its frames again",
    ),
    "crops-missing": _warning(
        "the directory of a clip's face crops does not exist, or holds no images",
        "crop again, or use a detector in place of the crops",
    ),
    "crops-count": _warning(
        "a clip has fewer or more face crops than frames, so that crops do not correspond to frames",
        "crop again, with one image per frame, or use a detector in place of the crops",
    ),
    "claimed-count": _warning(
        "a list states another number of frames for a clip than there is",
        "nothing for this program, which counts frames itself; the list was made for other frames",
    ),
    "duplicate": _warning(
        "clips with different names have the same content",
        "keep one of them, or accept that it counts twice",
    ),
    "leak-content": _error(
        "the same file, or overlapping windows of one file, are in two splits of a fold under two ids; "
        "links and copies are found too",
        "keep it in one of the splits; `evaluate` measures such clips of your own only with --allow-leak",
    ),
    "same-recording": _note(
        "windows of one file that do not overlap are in two splits of a fold",
        "nothing, if test clips may show people and places of training; else keep a recording in one split",
    ),
    "group-split": _warning(
        "clips of one group (a source video, subject or film that the dataset names) are in two splits of a "
        "fold, so that test clips are partly known from training",
        "keep each group in one split; `train` does so for the validation clips that it holds out",
    ),
}

_DEEP: Mapping[str, Kind] = {
    "unreadable": _error(
        "a clip does not decode",
        "copy or unpack the file again; if it has no other copy, leave the clip out",
        deep=True,
    ),
    "window-beyond-end": _error(
        "a clip's window ends after its file, so that the whole rest is taken, or starts after it",
        "give start_seconds and end_seconds in seconds from the file's start, not in milliseconds or frame "
        "numbers; leave end_seconds empty for the end of the file",
        deep=True,
    ),
    "window-empty": _error(
        "no frame begins within a clip's window, because the window is between two frames",
        "widen start_seconds to end_seconds",
        deep=True,
    ),
    "boxes-beyond-frame": _error(
        "most face boxes of a clip, or the box of its named subject, have less than half of their area "
        "inside the frame: extraction with --faces boxes, or of this subject, fails for it",
        "give pixels of the upright frame, or fractions of it with box_units relative; boxes in another "
        "scale (0 to 1000) or for another resolution need to be converted",
        deep=True,
    ),
    "audio-only": _error("a clip's file holds sound and no frames", "get the video", deep=True),
    "damaged": _warning(
        "parts of a clip do not decode, or are missing",
        "copy or unpack the file again",
        deep=True,
    ),
    "times": _warning(
        "frames of a clip have no time stamp, or time stamps go back, as in joined recordings",
        "nothing, if the whole file is the clip; before you cut it by seconds, encode it again with ffmpeg",
        deep=True,
    ),
    "hdr": _warning(
        "a clip has an HDR transfer function (PQ or HLG); its colours are read as they are, dull and dark",
        "convert it to BT.709 with tone mapping, such as ffmpeg's zscale and tonemap filters",
        deep=True,
    ),
    "interlaced": _warning(
        "frames of a clip are interlaced, so that moving edges look like combs",
        "deinterlace it, such as with ffmpeg -vf bwdif",
        deep=True,
    ),
    "video-streams": _note(
        "a clip's file holds several video streams; the one marked as default is read, else the first",
        "nothing, if that is the correct one; else copy the other into its own file",
        deep=True,
    ),
    "face-crops": _warning(
        "every clip has the square size of face crops, but whole frames are expected; there is no scene",
        "get the authors' whole videos, or give --source crops and work without the scene",
        deep=True,
    ),
    "size-mixed": _warning(
        "the frames of a clip change size",
        "extract its frames again; others are letterboxed into the first one's size",
        deep=True,
    ),
    "size-odd": _note(
        "a clip's frames have ten times the pixels of the median, or a tenth", "look at the clip", deep=True
    ),
    "duration-odd": _note(
        "a clip is ten times as long as the median, or a tenth",
        "check whether it was cut in the wrong places",
        deep=True,
    ),
    "rotated": _note("a clip is stored rotated; it is read upright", "nothing for this program", deep=True),
    "rate-varies": _note(
        "a clip has a variable frame rate; frames are taken by number, not by time",
        "nothing, if they are few; else convert all clips in the same way",
        deep=True,
    ),
}

KINDS: Mapping[str, Kind] = {**_LISTS, **_FILES, **_DEEP}
"""Every kind of finding by its id, in the order of the report."""
