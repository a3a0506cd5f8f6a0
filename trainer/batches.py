"""Clips in memory as batches, gathered by index.

Letters: N clips in memory; B clips of a batch; V views; T frames; F embedding width; D encoder width; J kept
tokens of an image. 4 and 3 are early blocks and their statistics.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch


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
class ClipData:
    """The features of N clips in memory, which is the device's or the host's.

    The tensors are those of `Batch`, by clip and view. `label_N` and `polarity_N` have no axis of views.
    Embeddings are float16.

    Attributes:
        device: Device of the batches.
        residence: Size and place of the features, in words.
        target_NC: Targets of L_contrast, float32; None if they are the labels.
    """

    face_NVTF: torch.Tensor
    scene_NVTF: torch.Tensor | None
    early_NV43D: torch.Tensor | None
    face_patches_NVJD: torch.Tensor | None
    scene_patches_NVJD: torch.Tensor | None
    valid_NVT: torch.Tensor
    in_view_NVT: torch.Tensor | None
    label_N: torch.Tensor
    polarity_N: torch.Tensor
    device: torch.device
    residence: str
    target_NC: torch.Tensor | None = None

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

    def training_batches(
        self,
        places: torch.Tensor,
        batch_size: int,
        random_views: bool,
        generator: torch.Generator,
        *,
        two_classes: bool = False,
        share_N: torch.Tensor | None = None,
    ) -> Iterator[Batch]:
        """Yield the batches of an epoch, in random order. The last batch may be shorter.

        Args:
            places: Clips of the epoch, 0 to N - 1.
            batch_size: Clips of a batch.
            random_views: Draw a view for each clip; otherwise take the first.
            generator: Source of the order and the views, on the CPU.
            two_classes: Every batch has clips of at least two classes. A batch of one class is joined with
                the next one, the last with the one before.
            share_N: Probability of each clip of `places` in one draw, float64; as many clips are drawn, with
                replacement. None: each clip once.
        """
        if share_N is None:
            order = places[torch.randperm(len(places), generator=generator)]
        else:
            order = places[torch.multinomial(share_N, len(places), replacement=True, generator=generator)]
        num_views = self.valid_NVT.shape[1] if random_views else 1
        view_of = torch.randint(num_views, (len(places),), generator=generator)
        ends = _batch_ends(len(places), batch_size, self.label_N.cpu()[order] if two_classes else None)
        home = self.face_NVTF.device  # moved once: each copy from the host would wait for the last step
        order, view_of = order.to(home), view_of.to(home)
        for start, end in pairwise([0, *ends]):
            yield self.gather(order[start:end], view_of[start:end])

    def evaluation_batches(self, places: torch.Tensor, batch_size: int) -> Iterator[Batch]:
        """Yield the clips at `places` in their order, in the first view."""
        for start in range(0, len(places), batch_size):
            place_B = places[start : start + batch_size]
            yield self.gather(place_B, torch.zeros_like(place_B))


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
