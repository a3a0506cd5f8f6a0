"""Choices of options and settings: each type lists its values once, for the command line and for configs.

Values are listed as `--help` shows them. Nothing is imported here, so that `--help` takes no time.
"""

from typing import Literal

Dataset = Literal["dfew", "ferv39k", "mafw", "manifest", "folder", "synthetic"]
ClipForm = Literal["auto", "video", "frames", "crops"]
"""Forms in which the clips of a dataset are read."""
SceneFrame = Literal["masked", "full"]
"""Scene frames: with the face filled, or whole."""
ProvidedFaces = Literal["boxes", "crops"]
"""Faces that a dataset provides: bounding boxes or face crops."""
FaceSource = Literal["detector", ProvidedFaces]
"""Where faces come from: a detector, or the dataset."""
DetectorName = Literal["retinaface-resnet50", "retinaface-mobilenet0.25", "haar"]
DetectorOption = Literal[DetectorName, ProvidedFaces]
"""Values of ``--detector``: detectors, and the older spelling of ``--faces boxes`` and ``--faces crops``."""
Tokens = Literal["cls", "grid4", "all"]
"""CLIP tokens that are kept besides the embedding."""
FeaturePrecision = Literal["auto", "fp16", "bf16", "fp32"]
Precision = Literal["auto", "fp32", "bf16"]
Preset = Literal["default", "paper", "release", "smoke"]
MeasuredSplit = Literal["test", "validation", "train"]
BundledTable = Literal["3", "4", "5", "6", "baselines", "longtail"]
"""Tables of `ablate`: III to VI of the paper, and the files of trainer/ablate/specs with a name."""
SceneMask = Literal["subject", "everyone", "none"]
"""Faces that are filled in the scene of a prediction."""
