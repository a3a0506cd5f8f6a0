"""A run and its results -> README.md of an exported model: the model card.

The texts on law are of secondary sources, and the card marks them so.
"""

from collections.abc import Iterator, Sequence

from pipeline.errors import counted, printable
from trainer.clips_without_face import without_face_text
from trainer.export.measured import Interval, Results
from trainer.prediction.results import NOTICE
from trainer.run_info import RunInfo
from trainer.runs import Run

LICENSED = {"dfew": "DFEW", "ferv39k": "FERV39k", "mafw": "MAFW"}
"""Datasets that are under a licence which their users have signed."""

_TAGS = ("facial-expression-recognition", "dynamic-facial-expression-recognition", "clip", "video")
_NOT_FOR = (
    "work, school and hiring; policing, borders and courts; lie detection; insurance and credit; diagnosis; "
    "advertising that reacts to a face; children without the consent of those who care for them"
)
_LAW = (
    "Regulation (EU) 2024/1689 (AI Act), Art. 5(1)(f), prohibits systems that infer emotions of people at "
    "work and in education, except for medical or safety reasons; it has applied since 2 February 2025.",
    "Art. 50(3) asks whoever uses an emotion recognition system to inform the people exposed to it; it "
    "applies from 2 August 2026.",
    "Other emotion recognition is listed as high-risk in Annex III; those duties are postponed to 2 December "
    "2027.",
    "Faces are personal data (GDPR, Regulation (EU) 2016/679). Whether they are biometric data of Art. 9 "
    "depends on the use.",
)
_CHECKLIST = (
    "The purpose is written down, and is none of those above.",
    "The people who are filmed have been informed before, by a notice such as the one below.",
    "They have consented, and can withdraw; or another legal basis is written down.",
    "A data protection impact assessment has been made where the GDPR asks for one.",
    "Videos, face crops and answers are stored no longer than the purpose needs, and who may see them is "
    "written down.",
    "No answer alone decides anything about a person; somebody who knows the limits reads it first.",
    "The recall of each class has been measured on people and recordings like those of the purpose.",
)
_TEMPLATE = (
    "We record video of your face. A computer program predicts from it which facial expression raters would "
    "label. It does not know what you feel. We use this for: ______. We keep the recording until: ______. "
    "Only these people see it: ______. You can refuse, or withdraw later, without any disadvantage: ______ "
    "(contact)."
)


def licensed_names(info: RunInfo) -> str:
    """Return the datasets of a run that are under a signed licence, in words; empty for none."""
    names = [LICENSED[dataset.lower()] for dataset in info.datasets if dataset.lower() in LICENSED]
    return " and ".join(names)


def model_card(run: Run, results: Results | None, banners: tuple[str, ...], files: Sequence[str]) -> str:
    """Return the text of the card, in Markdown with the front matter of model hubs.

    Args:
        run: The run.
        results: Its results; None if `evaluate` has not measured its test split.
        banners: Warnings of the run.
        files: Names of the other files of the directory.
    """
    return "\n".join(_lines(run, results, banners, files)) + "\n"


def _lines(
    run: Run, results: Results | None, banners: tuple[str, ...], files: Sequence[str]
) -> Iterator[str]:
    info = run.info
    yield from ("---", "library_name: ous", "license: other", "pipeline_tag: video-classification", "tags:")
    yield from (f"- {tag}" for tag in _TAGS)
    yield from ("---", "", f"# OUS, trained on {_names(info)}", "")
    for banner in banners:
        yield from (f"> **{_text(banner)}**", "")
    yield from (f"> {NOTICE}", "")
    yield from (
        "Predicts the facial expression of a person in a video from the face and the scene around it. The",
        "model is the trained part of OUS (Scene-Guided Dynamic Facial Expression Recognition,",
        "arXiv:2405.18769), in an independent implementation. The frozen image encoder and the face detector",
        "are not included; config.json and preprocessing.json name them by their hashes.",
        "",
        "```python",
        "from trainer import load_run, predict",
        "",
        'run = load_run("path/to/model")',
        'for window in predict(run, "talk.mp4").windows:',
        "    print(window.track, window.start_seconds, window.answer, window.probability)",
        "```",
        "",
        "On the command line: `ous predict talk.mp4 --run path/to/model`.",
        "",
    )
    yield from _data(run)
    yield from _results(results)
    yield from _meaning(info)
    yield from _law()
    yield from _files(run, files)


def _data(run: Run) -> Iterator[str]:
    info = run.info
    licensed = licensed_names(info)
    yield from ("## Data and protocol", "")
    yield f"- Classes, in this order: {', '.join(map(_text, info.class_names))}."
    clips = f"{counted(info.num_train, 'clip')} for training"
    if info.num_validation:
        clips += f", {info.num_validation} for validation"
    first, *others = _cache_names(info)
    yield f"- {first}, fold {_text(info.fold)}, seed {info.seed}: {clips}."
    for added, name in zip(info.added_caches, others, strict=True):
        classes = added.class_changes(info.class_names)
        yield (
            f"- {name}, fold {_text(added.fold)}: {counted(added.num_train, 'clip')} added "
            f"to the training{f'; classes: {_text(classes)}' if classes else ''}."
        )
    yield f"- The checkpoint was selected by: {_text(info.selection_rule)}, epoch {info.best_epoch}."
    if info.clip_seconds:
        low, median, high = info.clip_seconds
        yield f"- Length of the training clips: median {median:.2f} s, quartiles {low:.2f} and {high:.2f} s."
    if any(dataset.lower() not in LICENSED for dataset in info.datasets):
        yield "- Whether the clips are under a licence is not known to this program."
    yield "- Age, sex, skin type and origin of the people in the clips: unknown to this program."
    if licensed:
        yield (
            f"- **{licensed} {'are' if ' and ' in licensed else 'is'} under a licence for research. Ask the "
            "authors whether weights trained on these clips may be shared, and for what.**"
        )
    yield ""


def _results(results: Results | None) -> Iterator[str]:
    yield from ("## Results", "")
    if results is None:
        yield from ("Not measured. `evaluate` measures the run, and the next export shows the numbers.", "")
        return
    yield f"Test split of the fold, {counted(results.num_clips, 'clip')}, in percent."
    yield from ("", "| measure | value | 95% interval |", "|---|---|---|")
    yield f"| WAR | {100 * results.war:.2f} | {_percent(results.war_interval)} |"
    yield f"| UAR | {100 * results.uar:.2f} | {_percent(results.uar_interval)} |"
    yield from (f"| recall, {_text(name)} | {100 * value:.2f} | |" for name, value in results.recalls.items())
    yield from ("", f"Intervals: {_text(results.method)}. The class with the lowest recall comes first.")
    if text := without_face_text(results.num_without_face, results.num_clips, "test clips"):
        yield f"{text[0].upper()}{text[1:]}."
    error = f"{100 * results.ece:.2f}%"
    if results.ece_calibrated is None:
        yield f"Expected calibration error of the probabilities: {error}; no temperature was fitted."
    else:
        yield (
            f"Expected calibration error of the probabilities: {error} without and "
            f"{100 * results.ece_calibrated:.2f}% with the temperature, which is part of the model."
        )
    yield ""


def _meaning(info: RunInfo) -> Iterator[str]:
    yield from ("## What an answer is, and what it is not", "")
    yield (
        "An answer is the label that raters would give to a clip that looks like this one, among the classes "
        f"above, as the raters of {_names(info)} labelled. Many clips of this field are acted. It is not "
        "what a person feels. A face or a scene of other people, cameras, cultures or light than in training "
        "may be answered wrongly with a high probability."
    )
    yield from ("", f"Not for: {_NOT_FOR}.", "")
    yield from (
        "Known limits: a face that is small, turned away or covered has no answer or a poor one; the scene "
        "can outweigh the face, which `predict` shows with other scenes; people are followed by movement and "
        "look within one video, and are not identified.",
        "",
    )


def _law() -> Iterator[str]:
    yield from ("## Before you film people", "")
    yield from (f"- [ ] {item}" for item in _CHECKLIST)
    yield from ("", "A notice, to be completed:", "", f"> {_TEMPLATE}", "")
    yield from ("Law in the European Union, after secondary sources of 2026. It is no legal advice:", "")
    yield from (f"- {item}" for item in _LAW)
    yield ""


def _files(run: Run, files: Sequence[str]) -> Iterator[str]:
    yield from ("## Files", "", "| file | content |", "|---|---|")
    rows = (
        ("model.safetensors", "weights of the trained part, and the features of the class names"),
        ("config.json", "settings, classes, temperature, and origin of the run"),
        ("preprocessing.json", "frames, detector, crops and encoder, in words and numbers"),
        (
            "scenes.safetensors",
            "features of scenes of training clips, for answers with other scenes; no images",
        ),
        ("head.onnx", "the trained part as an ONNX graph, with the temperature"),
        ("example.npz", "random inputs and their outputs, so that other code can be checked"),
    )
    yield from (f"| {name} | {content} |" for name, content in rows if name in files)
    info = run.info
    weights = "random weights" if info.random_weights else f"sha256 {info.encoder_sha256}"
    yield from (
        "",
        f"Encoder: {_text(info.encoder_name)}, {weights}.",
        f"Made with {', '.join(map(_text, info.packages))}.",
    )


def _names(info: RunInfo) -> str:
    return " and ".join(map(_name, info.datasets))


def _cache_names(info: RunInfo) -> list[str]:
    """Return a name for each cache of the training: its dataset, with its own name if several have it."""
    datasets = [info.dataset, *(added.dataset for added in info.added_caches)]
    return [
        _name(dataset) if name == printable(dataset) else _text(name)
        for dataset, name in zip(datasets, info.cache_names, strict=True)
    ]


def _name(dataset: str) -> str:
    return LICENSED.get(dataset.lower(), _text(dataset))


def _percent(interval: Interval | None) -> str:
    return "none" if interval is None else f"{100 * interval[0]:.2f} to {100 * interval[1]:.2f}"


def _text(text: str) -> str:
    """Return a text of a run without characters that Markdown or HTML would act on."""
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#!" else letter for letter in printable(text))
