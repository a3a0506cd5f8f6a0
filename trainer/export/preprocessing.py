"""How the features of a run were made -> preprocessing.json, in words and numbers, for a port."""

from collections.abc import Mapping
from typing import Any

from trainer.run_info import RunInfo

FRAMES = (
    "T frames of the clip's n decodable frames: with T or more, frame floor((i + 0.5) * n / T) for i = 0 to "
    "T - 1; with fewer, all n frames, and the other places are not valid"
)
FACE = (
    "the square around the centre of the subject's box, with the box's longer side times the margin as its "
    "side; parts outside of the frame have the fill colour; bicubic with anti-aliasing"
)
SCENES = {
    "masked": "the whole frame, with the subject's box (without margin) in the fill colour",
    "full": "the whole frame",
}


def preprocessing_of(info: RunInfo, config: Mapping[str, Any], identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of preprocessing.json.

    Args:
        info: Origin of the run.
        config: Settings of the extraction (`Run.extraction`).
        identity: Identity of the features (`Run.extraction`).
    """
    encoder, streams = section(identity, "encoder"), section(config, "streams")
    mean = encoder.get("mean")
    faces = section(config, "faces").get("source", "detector")
    return {
        "frames": {"num_frames": info.num_frames, "rule": FRAMES},
        "faces": faces,
        "detector": {
            **{key: value for key, value in section(config, "detector").items() if key != "weights"},
            "sha256": section(identity, "detector").get("sha256"),
        },
        "shots": section(config, "shots"),
        "people": section(config, "people"),
        "track": section(config, "track"),
        "streams": {
            **streams,
            "face": FACE,
            "scene_image": SCENES.get(str(streams.get("scene", "masked")), ""),
            "fill_rgb": None if mean is None else [round(255 * float(value)) for value in mean],
        },
        "encoder": {
            "name": info.encoder_name,
            "sha256": info.encoder_sha256,
            "has_random_weights": info.random_weights,
            **{key: encoder[key] for key in ("mean", "std", "activation") if key in encoder},
            "embed_width": info.embed_width,
            "width": info.encoder_width,
            "early_blocks": "blocks 1 to 4: class token, mean and standard deviation of the patch tokens",
            **{key: value for key, value in section(config, "features").items() if key != "batch_pictures"},
            "precision": section(identity, "features").get("precision"),
        },
        "versions": {
            name: values["version"]
            for name, values in identity.items()
            if isinstance(values, Mapping) and "version" in values
        },
    }


def section(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a section of settings or of an identity; empty if there is none of this name."""
    found = values.get(name)
    return dict(found) if isinstance(found, Mapping) else {}
