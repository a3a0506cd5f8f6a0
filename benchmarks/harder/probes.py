"""Facts of the plan that classifiers read from the features, and subjects that the pipeline chooses.

Probes are fitted on the training clips and measured on the test clips.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.harder.design import CACHE, CLIPS, EXTRACTION, cues_of
from pipeline.boxes import iou_of
from pipeline.config import from_dict
from pipeline.datasets import read_dataset
from pipeline.datasets.synthetic import PlannedClip
from pipeline.datasets.synthetic.cues import FLOWER, HALVES, LARGER, RIGHT, SMALLER, WARM
from pipeline.process import ExtractConfig, load_models, prepare_clip
from pipeline.store.reader import FeatureCache

_DETECTED = {"faces": {"source": "detector"}, "detector": {"name": "haar"}}
_NUM_SUBJECTS, _MIN_OVERLAP = 40, 0.3


def facts(clip: PlannedClip) -> dict[str, tuple[str, bool]]:
    """Return the two-valued facts of a clip that a probe may read: name -> stream and value."""
    cues = cues_of(clip)
    found: dict[str, tuple[str, bool]] = {}
    names = {seen.name for seen in cues.objects}
    flower = FLOWER in names
    if cues.kind in ("object", "moment"):
        found[f"flower or thorn, cue {cues.kind}"] = ("scene", flower)
    if cues.kind == "light":
        found["warm or cold, cue light"] = ("scene", cues.light == WARM)
    if cues.kind == "both":
        found["flower or thorn, cue both"] = ("scene", flower)
        found["warm or cold, cue both"] = ("scene", cues.light == WARM)
        found["both agree (exclusive or)"] = ("scene", flower == (cues.light == WARM))
    if cues.kind == "order":
        last = next(seen.name for seen in cues.objects if seen.during == HALVES[1])
        found["object of the second half, cue order"] = ("scene", last == FLOWER)
    if cues.kind == "gaze":
        found["flower or thorn, cue gaze"] = ("scene", flower)
        found["side of the gaze, cue gaze"] = ("face", cues.gaze == RIGHT)
        found["looks at flower or away from thorn"] = ("face and scene", flower == (cues.gaze == RIGHT))
    return found


def probes(work: Path, planned: dict[str, PlannedClip]) -> dict[str, Any]:
    """Return for each fact the accuracy of a linear and of a small non-linear probe on the test clips.

    Features are means over the frames, and all frames one after the other (`by frame`).
    """
    with FeatureCache.open(work / CACHE) as cache:
        clips = [planned[str(name)] for name in cache.read("clip_id")]
        face_NTF = cache.read("face/embedding")[:, 0].astype(float)
        scene_NTF = cache.read("scene/embedding")[:, 0].astype(float)
    streams = {
        "face": face_NTF,
        "scene": scene_NTF,
        "face and scene": np.concatenate([face_NTF, scene_NTF], -1),
    }
    is_train = np.array([clip.split == "train" for clip in clips])
    facts_N = [facts(clip) for clip in clips]
    found: dict[str, Any] = {}
    for name in dict.fromkeys(name for row in facts_N for name in row):
        rows = np.array([name in row for row in facts_N])
        stream = next(row[name][0] for row in facts_N if name in row)
        value_N = np.array([row[name][1] if name in row else False for row in facts_N])
        train, test = rows & is_train, rows & ~is_train
        inputs = {"": streams[stream].mean(axis=1), " by frame": streams[stream].reshape(len(clips), -1)}
        found[name] = {"stream": stream, "train": int(train.sum()), "test": int(test.sum())}
        for suffix, x in inputs.items():
            for kind, probe in (
                ("linear", LogisticRegression(C=0.1, max_iter=2000)),
                ("mlp", MLPClassifier((128,), alpha=1.0, max_iter=400, random_state=0)),
            ):
                fitted = make_pipeline(StandardScaler(), probe).fit(x[train], value_N[train])
                found[name][kind + suffix] = float((fitted.predict(x[test]) == value_N[test]).mean())
    return found


def certain_frame_probe(work: Path, planned: dict[str, PlannedClip]) -> float:
    """Return the accuracy of flower or thorn for the cue ``moment`` by the most certain frame of a test clip.

    A linear probe is fitted on the frames of training clips whose object is visible on all of them.
    """
    with FeatureCache.open(work / CACHE) as cache:
        clips = [planned[str(name)] for name in cache.read("clip_id")]
        scene_NTF = cache.read("scene/embedding")[:, 0].astype(float)
    flower_N = np.array([any(seen.name == FLOWER for seen in cues_of(clip).objects) for clip in clips])
    kinds = np.array([cues_of(clip).kind for clip in clips])
    is_train = np.array([clip.split == "train" for clip in clips])
    fits, tests = is_train & np.isin(kinds, ("object", "gaze")), ~is_train & (kinds == "moment")
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    frames = scene_NTF.shape[1]
    probe.fit(scene_NTF[fits].reshape(-1, scene_NTF.shape[-1]), np.repeat(flower_N[fits], frames))
    certainty_NT = probe.decision_function(scene_NTF[tests].reshape(-1, scene_NTF.shape[-1])).reshape(
        -1, frames
    )
    most_N = np.abs(certainty_NT).argmax(axis=1)
    return float(((certainty_NT[np.arange(len(most_N)), most_N] > 0) == flower_N[tests]).mean())


def choice_of_subjects(work: Path, planned: dict[str, PlannedClip]) -> dict[str, dict[str, int]]:
    """Return how often the pipeline chooses the subject if nobody names it, by the size of a second person.

    Faces are detected by the Haar cascade and followed with the default settings.
    """
    models = load_models(from_dict(ExtractConfig, {**EXTRACTION, **_DETECTED}), torch.device("cpu"))
    index = read_dataset("synthetic", work / CLIPS)
    counts = {size: {"clips": 0, "no face": 0, "subject": 0} for size in ("none", SMALLER, LARGER)}
    for clip in index.clips:
        bystander = cues_of(planned[clip.clip_id]).bystander
        count = counts[bystander.size if bystander else "none"]
        if count["clips"] == _NUM_SUBJECTS or clip.provided_boxes is None:
            continue
        track = prepare_clip(index.root, clip, models)[0].track
        count["clips"] += 1
        if not track.has_face:
            count["no face"] += 1
            continue
        overlap = iou_of(clip.provided_boxes.box_xyxy[:1], track.box_xyxy_px[track.found])
        count["subject"] += bool(np.median(overlap) >= _MIN_OVERLAP)
    return counts
