"""The image of an explained window: frames, faces, and scenes with the changes of the answer."""

from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np
import torch

from pipeline.process.windows import WindowAgain
from pipeline.types import Bytes
from trainer import plots
from trainer.prediction.effects import Effects
from trainer.prediction.explanation_text import CAPTION, CELLS_CAPTION
from trainer.prediction.results import NOTICE, WindowAnswer

_SHOWN_FRAMES = 6


def drawn_window(
    answer: WindowAnswer,
    images: WindowAgain,
    effects: Effects,
    when: Mapping[int, str],
    title: str,
    banners: Sequence[str],
) -> bytes:
    """Return the PNG of a window: some of its valid frames, evenly.

    Args:
        answer: The window.
        images: Its images.
        effects: Changes of its answer.
        when: Times of its frames as texts, by their places in the window.
        title: Title of the image.
        banners: Warnings to show with every answer.
    """
    num_valid = int(images.valid_T.sum())
    shown = np.unique(
        np.linspace(0, num_valid - 1, min(_SHOWN_FRAMES, num_valid)).round().astype(int)
    ).tolist()
    changes = effects.frame_T
    caption = CAPTION.format(answer=answer.answer)
    if len(shown) < num_valid:
        caption = f"{len(shown)} of the window's {num_valid} frames. {caption}"
    png = BytesIO()
    plots.plot_explanation(
        plots.ExplainedImages(
            face_N=[_picture(images.streams.face_U3SS[n]) for n in shown],
            scene_N=[]
            if effects.cell_GG is None
            else [_picture(images.streams.scene_U3SS[n]) for n in shown],
            captions=[when[n] for n in shown],
            changes=[_change(changes[n]) for n in shown],
            cell_GG=effects.cell_GG,
            area=images.area,
        ),
        png,
        title=f"{title}: {answer.answer} {(answer.probability or {}).get(answer.answer or '', 0):.2f}",
        caption=" ".join([caption, *([] if effects.cell_GG is None else [CELLS_CAPTION]), NOTICE]),
        banners=banners,
    )
    return png.getvalue()


def _picture(image_3SS: torch.Tensor) -> Bytes:
    picture: Bytes = image_3SS.permute(1, 2, 0).cpu().numpy()
    return picture


def _change(value: float) -> str:
    """Return a change with three digits: "+0.012", "0.000"; empty if it was not measured."""
    if not np.isfinite(value):
        return ""
    return f"{value:+.3f}" if round(float(value), 3) else "0.000"
