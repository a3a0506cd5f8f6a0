"""Predictions of a folder of videos -> index.html above them, a row for each video."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from pipeline.errors import counted
from trainer.pages.html import safe_text
from trainer.prediction.charts import clock
from trainer.prediction.label_runs import timelines
from trainer.prediction.page import banner_html, page_head
from trainer.prediction.page_style import patterns, swatch
from trainer.prediction.people_summary import SHARE_OF_TIME, TIMES_NOTE, summaries
from trainer.prediction.person_section import address_of
from trainer.prediction.results import UNKNOWN, Prediction
from trainer.prediction.spans import axis_of

_NO_SCRIPT = "'none'"


@dataclass(frozen=True, kw_only=True)
class VideoRow:
    """A video on the page of its folder.

    Attributes:
        name: Name of the video.
        link: Path of its own page, relative to the folder's page; None without one.
        length: Its length as a text: "12:40.0", or "300 frames".
        num_people: People with a name.
        people: Time with a detected face of each person, as a text: "P1 42.0, P2 3.5".
        answered: Time with an answer, summed over people; the weight of the shares.
        shares: Fraction of this time with each class as the answer; empty without any answer.
        banners: Warnings of its prediction.
        failure: Why there is no prediction; None if there is one.
    """

    name: str
    link: str | None = None
    length: str = ""
    num_people: int = 0
    people: str = ""
    answered: float = 0.0
    shares: tuple[float, ...] = ()
    banners: tuple[str, ...] = ()
    failure: str | None = None


def video_row(prediction: Prediction, link: str | None) -> VideoRow:
    """Return the row of a video.

    Args:
        prediction: Its prediction.
        link: Path of its own page, relative to the folder's page.
    """
    axis = axis_of(prediction)
    found = summaries(prediction, timelines(prediction, axis))
    answered = sum(one.answered for one in found)
    shares = [
        sum(one.answered * one.shares[name] for one in found if one.shares) / answered if answered else 0.0
        for name in prediction.class_names
    ]
    length = clock(axis.end, axis) if axis.has_times else f"{prediction.source.num_frames:,} frames"
    if prediction.done_seconds is not None:
        length = f"{clock(prediction.done_seconds, axis)} of {length}"
    return VideoRow(
        name=prediction.source.name,
        link=link,
        length=length,
        num_people=sum(one.person.name != UNKNOWN for one in found),
        people=", ".join(f"{one.person.name} {one.on_screen:.1f}" for one in found),
        answered=answered,
        shares=tuple(shares) if answered else (),
        banners=prediction.banners,
    )


def as_folder_page(
    title: str,
    class_names: Sequence[str],
    rows: Sequence[VideoRow],
    banners: Sequence[str] = (),
    label_files: Sequence[str] = (),
) -> Iterator[str]:
    """Return the lines of a folder's index.html, with line ends.

    Args:
        title: Name of the folder.
        class_names: Classes of the run, in the order of the shares.
        rows: The videos, in their order; failures too.
        banners: Warnings besides those of the videos.
        label_files: Files beside the page with the scores of the user's labels.
    """
    failed = sum(row.failure is not None for row in rows)
    head = f"{title}: {counted(len(rows), 'video')}" + (f", {failed} failed" if failed else "")
    every = tuple(dict.fromkeys([*banners, *(banner for row in rows for banner in row.banners)]))
    yield from page_head(head, _NO_SCRIPT)
    yield '<body>\n<div class="top">'
    yield from banner_html(every)
    yield f"</div>\n<h1>{safe_text(head)}</h1>\n{patterns(len(class_names))}\n<main>\n"
    if label_files:
        links = ", ".join(
            f'<a href="{escape(address_of(name))}">{safe_text(name)}</a>' for name in label_files
        )
        yield f"<p>Scores of the labels: {links}.</p>\n"
    yield '<div class="wide" tabindex="0" role="region" aria-label="Videos"><table><thead><tr>'
    yield '<th scope="col">video</th><th scope="col">length</th><th scope="col">people</th>'
    for number, name in enumerate(class_names):
        yield f'<th scope="col">{swatch(f"class-{number}")}{safe_text(name)}</th>'
    yield '<th scope="col">face detected</th></tr></thead><tbody>\n'
    for row in rows:
        yield from _row(row, len(class_names))
    yield (
        "</tbody></table></div>\n"
        f'<p class="note">Percentages: {SHARE_OF_TIME}, summed over everyone in the video. The time with a '
        f"detected face is in seconds for each person, or in frames for videos without times. {TIMES_NOTE}"
        "</p>\n"
        "</main>\n</body>\n</html>\n"
    )


def _row(row: VideoRow, num_classes: int) -> Iterator[str]:
    name = safe_text(row.name)
    if row.link is not None:
        name = f'<a href="{escape(address_of(row.link))}">{name}</a>'
    yield f'<tr><th scope="row">{name}</th>'
    if row.failure is not None:
        yield f'<td class="text" colspan="{num_classes + 3}">failed: {safe_text(row.failure)}</td></tr>\n'
        return
    yield f"<td>{safe_text(row.length)}</td><td>{row.num_people}</td>"
    if row.shares:
        yield from (f"<td>{100 * share:.0f}%</td>" for share in row.shares)
    else:
        yield f'<td class="text" colspan="{num_classes}">no answer</td>'
    yield f'<td class="text people">{safe_text(row.people)}</td></tr>\n'
