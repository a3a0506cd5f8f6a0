"""Clips of a run as batches, gathered by index.

Letters: N clips of a run; B clips of a batch; V views; T frames; F embedding width; D encoder width; J kept
tokens of an image. 4 and 3 are early blocks and their statistics.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch

from trainer.block_shuffle import block_shuffled


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Clips on the device of the model. Features that the model does not use are None.

    A batch of one face has the face stream and masks of one clip, and the scene streams of B clips.

    Attributes:
        face_BTF, scene_BTF: Embeddings, float32, not normalised.
        early_B43D: Statistics of the early blocks, float32, mean over valid frames.
        face_patches_BJD, scene_patches_BJD: float32, mean over the valid frames of their stream. The first
            token is the class token.
        valid_BT: True for valid frames, which come first.
        in_view_BT: True for the valid frames of the face stream, at least one per clip, in any place; None if
            they are all valid frames.
        label_B, polarity_B: int64, -1 for unknown.
        target_BC: Targets of L_contrast, float32; None if they are the labels.
        polarity_target_BP: Targets of L_polarity, float32; None if they are the polarities.
    """

    face_BTF: torch.Tensor
    scene_BTF: torch.Tensor | None
    early_B43D: torch.Tensor | None
    valid_BT: torch.Tensor
    label_B: torch.Tensor
    polarity_B: torch.Tensor
    face_patches_BJD: torch.Tensor | None = None
    scene_patches_BJD: torch.Tensor | None = None
    in_view_BT: torch.Tensor | None = None
    target_BC: torch.Tensor | None = None
    polarity_target_BP: torch.Tensor | None = None

    @property
    def face_valid_BT(self) -> torch.Tensor:
        """True for the valid frames of the face stream."""
        return self.valid_BT if self.in_view_BT is None else self.in_view_BT


@dataclass(frozen=True, kw_only=True)
class Clips(ABC):
    """N clips of a run, with their features in memory (`ClipData`) or in the cache (`StreamedClips`).

    Attributes:
        valid_NVT, in_view_NVT: As in `Batch`, by clip and view.
        label_N, polarity_N: As in `Batch`.
        block_N: Block of the cache of each clip, int64, on the CPU. Numbers of different caches differ.
        device: Device of the batches.
        residence: Size and place of the features, in words.
        target_NC: Targets of L_contrast, float32; None if they are the labels.
    """

    valid_NVT: torch.Tensor
    in_view_NVT: torch.Tensor | None
    label_N: torch.Tensor
    polarity_N: torch.Tensor
    block_N: torch.Tensor
    device: torch.device
    residence: str
    target_NC: torch.Tensor | None = None

    @abstractmethod
    def close(self) -> None:
        """End the use of the cache, if there is any."""

    @abstractmethod
    def subset(self, place_N: torch.Tensor) -> "ClipData":
        """Return the clips at `place_N` (0 to N - 1) as clips in memory, in this order."""

    @abstractmethod
    def evaluation_batches(self, places: torch.Tensor, batch_size: int) -> Iterator[Batch]:
        """Yield the clips at `places` in their order, in the first view."""

    @abstractmethod
    def _batches(self, order_N: torch.Tensor, view_N: torch.Tensor, ends: Sequence[int]) -> Iterator[Batch]:
        """Yield the batches of an epoch.

        Args:
            order_N: Clips of the epoch, on the CPU.
            view_N: View of each.
            ends: End of each batch in `order_N`.
        """

    def training_batches(
        self,
        places: torch.Tensor,
        batch_size: int,
        random_views: bool,
        generator: torch.Generator,
        *,
        two_classes: bool = False,
        share_N: torch.Tensor | None = None,
        shuffle_blocks: int = 0,
    ) -> Iterator[Batch]:
        """Yield the batches of an epoch, in random order. The last batch may be shorter.

        The order does not depend on where the features are.

        Args:
            places: Clips of the epoch, 0 to N - 1, on the CPU.
            batch_size: Clips of a batch.
            random_views: Draw a view for each clip; otherwise take the first.
            generator: Source of the order and the views, on the CPU.
            two_classes: Every batch has clips of at least two classes. A batch of one class is joined with
                the next one, the last with the one before.
            share_N: Probability of each clip of `places` in one draw, float64; as many clips are drawn, with
                replacement. None: each clip once.
            shuffle_blocks: Window of the shuffle (`block_shuffled`); 0 for a full shuffle. Without effect on
                clips that are drawn with replacement.
        """
        if share_N is not None:
            drawn_N = torch.multinomial(share_N, len(places), replacement=True, generator=generator)
        elif shuffle_blocks:
            drawn_N = block_shuffled(self.block_N[places], shuffle_blocks, generator)
        else:
            drawn_N = torch.randperm(len(places), generator=generator)
        order_N = places[drawn_N]
        num_views = self.valid_NVT.shape[1] if random_views else 1
        view_N = torch.randint(num_views, (len(places),), generator=generator)
        ends = _batch_ends(len(places), batch_size, self.label_N.cpu()[order_N] if two_classes else None)
        yield from self._batches(order_N, view_N, ends)


@dataclass(frozen=True, kw_only=True)
class ClipData(Clips):
    """The features of N clips in memory, which is the device's or the host's.

    The tensors are those of `Batch`, by clip and view. Embeddings are float16.
    """

    face_NVTF: torch.Tensor
    scene_NVTF: torch.Tensor | None
    early_NV43D: torch.Tensor | None
    face_patches_NVJD: torch.Tensor | None
    scene_patches_NVJD: torch.Tensor | None

    def gather(self, place_B: torch.Tensor, view_B: torch.Tensor) -> Batch:
        """Return the clips at `place_B` (0 to N - 1) as a batch, in the views `view_B` (0 to V - 1)."""
        views = self.valid_NVT.shape[1]
        flat_B = place_B * views + view_B

        def taken(array: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
            index = index.to(array.device)
            if array.device.type == self.device.type:  # not the devices: cuda and cuda:0 are equal
                rows = array.index_select(0, index)
            else:
                rows = _page_locked(len(index), array)
                torch.index_select(array, 0, index, out=rows)
                rows = rows.to(self.device, non_blocking=True)
            return rows.float() if rows.is_floating_point() else rows

        def seen(array_NV: torch.Tensor | None) -> torch.Tensor | None:
            return None if array_NV is None else taken(array_NV.flatten(0, 1), flat_B)

        return Batch(
            face_BTF=taken(self.face_NVTF.flatten(0, 1), flat_B),
            scene_BTF=seen(self.scene_NVTF),
            early_B43D=seen(self.early_NV43D),
            face_patches_BJD=seen(self.face_patches_NVJD),
            scene_patches_BJD=seen(self.scene_patches_NVJD),
            valid_BT=taken(self.valid_NVT.flatten(0, 1), flat_B),
            in_view_BT=seen(self.in_view_NVT),
            label_B=taken(self.label_N, place_B),
            polarity_B=taken(self.polarity_N, place_B),
            target_BC=None if self.target_NC is None else taken(self.target_NC, place_B),
        )

    def close(self) -> None:
        """Do nothing: the cache is not in use."""

    def subset(self, place_N: torch.Tensor) -> "ClipData":
        """Return the clips at `place_N` (0 to N - 1) as clips in memory, in this order."""
        every: dict[str, Any] = {name: getattr(self, name) for name in (*FEATURES, *OF_EACH_CLIP)}
        some = {name: value[place_N.to(value.device)] for name, value in every.items() if value is not None}
        return replace(self, **some)

    def evaluation_batches(self, places: torch.Tensor, batch_size: int) -> Iterator[Batch]:
        """Yield the clips at `places` in their order, in the first view."""
        for start in range(0, len(places), batch_size):
            place_B = places[start : start + batch_size]
            yield self.gather(place_B, torch.zeros_like(place_B))

    def _batches(self, order_N: torch.Tensor, view_N: torch.Tensor, ends: Sequence[int]) -> Iterator[Batch]:
        home = self.face_NVTF.device  # moved once: each copy from the host would wait for the last step
        order_N, view_N = order_N.to(home), view_N.to(home)
        for start, end in pairwise([0, *ends]):
            yield self.gather(order_N[start:end], view_N[start:end])


FEATURES = ("face_NVTF", "scene_NVTF", "early_NV43D", "face_patches_NVJD", "scene_patches_NVJD")
"""Tensors of `ClipData` that hold features."""
OF_EACH_CLIP = ("valid_NVT", "in_view_NVT", "label_N", "polarity_N", "block_N", "target_NC")
"""Tensors of `Clips`."""


def _batch_ends(num_clips: int, batch_size: int, label_N: torch.Tensor | None) -> list[int]:
    """Return the end of each batch of an epoch.

    `label_N` are the classes in the order of the epoch if every batch must have two of them, else None.
    """
    ends = [*range(batch_size, num_clips, batch_size), num_clips]
    if label_N is None:
        return ends
    kept, start = [], 0
    for end in ends:
        if (label_N[start:end] != label_N[start]).any():
            kept.append(end)
            start = end
    return [*kept[:-1], num_clips]


def _page_locked(num_rows: int, like: torch.Tensor) -> torch.Tensor:
    """Return page-locked memory for rows to copy to a GPU. Torch reuses it after the copy."""
    return torch.empty((num_rows, *like.shape[1:]), dtype=like.dtype, pin_memory=True)
