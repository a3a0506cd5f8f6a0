"""The OUS model (Fig. 3): a batch of cached features -> one output feature per clip, and logits.

`VideoModel` is the interface that training and prediction use; `trainer.model_choice` chooses the model.

Letters: B clips of a batch; T frames; F embedding width; D encoder width; J kept tokens of an image;
C classes; P polarities (3).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from pipeline.choices import Precision
from pipeline.store.meta import CacheMeta
from pipeline.types import EARLY_STATISTICS, NUM_EARLY_BLOCKS
from trainer.batches import Batch
from trainer.config import TrainConfig
from trainer.fusion import Tokens, TypeFusionEncoder
from trainer.layers import Align, EarlyFusion, FrameEncoder, PolarityEncoder, Standardise, masked_mean
from trainer.precision import in_bf16


@dataclass(frozen=True, kw_only=True)
class FeatureShape:
    """Sizes of a cache that a model is built for: T, F and D."""

    num_frames: int
    embed_width: int
    encoder_width: int

    @classmethod
    def of(cls, meta: CacheMeta) -> "FeatureShape":
        """Return the sizes of the cache with these attributes."""
        return cls(num_frames=meta.num_frames, embed_width=meta.embed_width, encoder_width=meta.encoder_width)


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Outputs of the model for a batch, float32; None for parts that the config leaves out.

    Attributes:
        logits_BC: Cosine of output and class prompt, times logit_scale.
        output_BF: Output feature, of length 1.
        encoded_BF: Mean of the Frame Encoder's frames, before alignment (eq. 14).
        face_BF, scene_BF: Aligned V_ft and V_st.
        polarity_BF, polarity_logits_BP: V_pol and its logits.
    """

    logits_BC: torch.Tensor
    output_BF: torch.Tensor
    encoded_BF: torch.Tensor
    face_BF: torch.Tensor
    scene_BF: torch.Tensor | None
    polarity_BF: torch.Tensor | None
    polarity_logits_BP: torch.Tensor | None


@dataclass(frozen=True, kw_only=True)
class SceneStream:
    """Values of a batch that only its scenes determine.

    Attributes:
        scene_BTF: Scenes, fused over time; None without them, and with the LSTM over types, which mixes them
            with the faces.
        polarity_BF, polarity_logits_BP: V_pol and its logits; None without them.
    """

    scene_BTF: torch.Tensor | None
    polarity_BF: torch.Tensor | None
    polarity_logits_BP: torch.Tensor | None


class VideoModel(nn.Module, ABC):
    """A model of cached features.

    Attributes:
        precision: Precision of the model.
        logit_scale: 1 / tau.
        polarity_encoder: Layers that predict the polarity; None without them.
    """

    precision: Precision
    logit_scale: float
    polarity_encoder: PolarityEncoder | None

    @abstractmethod
    def forward(self, batch: Batch, text_CF: torch.Tensor, stream: SceneStream | None = None) -> Outputs:
        """Compute the outputs of a batch.

        Args:
            batch: The clips.
            text_CF: Features of the class prompts, of length 1.
            stream: `scene_stream` of the batch, to use it again for the same scenes; None to compute it.
        """

    @abstractmethod
    def scene_stream(self, batch: Batch) -> SceneStream:
        """Return the values of `forward` that only the scenes determine."""

    @abstractmethod
    def fit_scales(self, batches: list[Batch]) -> None:
        """Measure means and deviations of the input features over the valid frames of `batches`."""


class OusModel(VideoModel):
    """The model: LSTM -> Frame Encoder (face), mean (scene) -> alignment -> fusion with V_pol -> output."""

    def __init__(self, config: TrainConfig, shape: FeatureShape) -> None:
        super().__init__()
        model, width = config.model, shape.embed_width
        self.precision = model.precision
        self.logit_scale = config.losses.logit_scale
        self.frame_tokens = model.has_frame_tokens
        self.scale_face = Standardise((width,))
        self.early_fusion = EarlyFusion(width, model.lstm)
        self.frame_encoder = FrameEncoder(
            shape.num_frames,
            width,
            depth=model.frame_encoder_depth,
            heads=model.frame_encoder_heads,
            mlp_ratio=model.mlp_ratio,
            dropout=model.dropout,
        )
        self.align_face = Align(width)
        self.scale_scene = Standardise((width,)) if model.scene else None
        self.align_scene = Align(width) if model.scene else None
        self.scale_early: Standardise | None = None
        self.polarity_encoder = None
        if config.has_polarity_token:
            early = (NUM_EARLY_BLOCKS, len(EARLY_STATISTICS), shape.encoder_width)
            self.scale_early = Standardise(early)
            self.polarity_encoder = PolarityEncoder(shape.encoder_width, width)
        self.project_patches = nn.Linear(shape.encoder_width, width) if model.has_patch_tokens else None
        self.fusion = TypeFusionEncoder(width, model) if model.tfe else None
        self.head = nn.Linear(width, width)

    def forward(self, batch: Batch, text_CF: torch.Tensor, stream: SceneStream | None = None) -> Outputs:
        """Fuse the batch and compare it with the class features `text_CF` of length 1.

        A batch of one face has one row of `encoded_BF` and `face_BF`.

        Args:
            batch: The clips.
            text_CF: Features of the class prompts.
            stream: `scene_stream` of the batch, to use it again for the same scenes; None to compute it.
        """
        with model_autocast(self.precision, batch.face_BTF.device):
            if stream is None:  # faces and scenes then run through the LSTM together
                v_pol_BF, polarity_logits_BP = self._polarity(batch)
                face_BTF, scene_BTF = self._early_fused(batch, None)
            else:
                v_pol_BF, polarity_logits_BP = stream.polarity_BF, stream.polarity_logits_BP
                face_BTF, scene_BTF = self._early_fused(batch, stream.scene_BTF)
            face_BTF = self.frame_encoder(face_BTF, batch.face_valid_BT)
            encoded_BF = masked_mean(face_BTF, batch.face_valid_BT)
            face_BF = self.align_face(encoded_BF)
            scene_BF = None
            if scene_BTF is not None and self.align_scene is not None:
                scene_BF = self.align_scene(masked_mean(scene_BTF, batch.valid_BT))
            if self.fusion is None:
                pooled = [x for x in (face_BF, scene_BF, v_pol_BF) if x is not None]
                rows = max(x.shape[0] for x in pooled)
                fused_BF = torch.stack([x.expand(rows, -1) for x in pooled]).mean(dim=0)
            else:
                if self.frame_tokens:
                    tokens = self._frame_tokens(batch, face_BTF, scene_BTF, v_pol_BF)
                else:
                    tokens = self._pooled_tokens(batch, face_BF, scene_BF, v_pol_BF)
                fused_BF = self.fusion(tokens).mean(dim=1)
            output_BF = self.head(fused_BF)
        output_BF = functional.normalize(output_BF.float(), dim=-1)
        return Outputs(
            logits_BC=self.logit_scale * output_BF @ text_CF.T,
            output_BF=output_BF,
            encoded_BF=encoded_BF.float(),
            face_BF=face_BF.float(),
            scene_BF=None if scene_BF is None else scene_BF.float(),
            polarity_BF=None if v_pol_BF is None else v_pol_BF.float(),
            polarity_logits_BP=None if polarity_logits_BP is None else polarity_logits_BP.float(),
        )

    def scene_stream(self, batch: Batch) -> SceneStream:
        """Return the values of `forward` that only the scenes determine."""
        with model_autocast(self.precision, batch.face_BTF.device):
            return self._scene_stream(batch)

    def fit_scales(self, batches: list[Batch]) -> None:
        """Measure means and deviations of the input features over the valid frames of `batches`."""
        self.scale_face.fit(torch.cat([batch.face_BTF[batch.face_valid_BT] for batch in batches]))
        if self.scale_scene is not None:
            scenes = [batch.scene_BTF[batch.valid_BT] for batch in batches if batch.scene_BTF is not None]
            self.scale_scene.fit(torch.cat(scenes))
        if self.scale_early is not None:
            self.scale_early.fit(torch.cat([b.early_B43D for b in batches if b.early_B43D is not None]))

    def _scene_stream(self, batch: Batch) -> SceneStream:
        v_pol_BF, logits_BP = self._polarity(batch)
        scene_BTF = None
        if self.early_fusion.over == "time" and self.scale_scene is not None and batch.scene_BTF is not None:
            with _full_precision(batch):
                scene_BTF = self.early_fusion.over_time(self.scale_scene(batch.scene_BTF))
        return SceneStream(scene_BTF=scene_BTF, polarity_BF=v_pol_BF, polarity_logits_BP=logits_BP)

    def _early_fused(
        self, batch: Batch, fused_BTF: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Run the LSTM on faces, and on scenes unless they are fused already."""
        with _full_precision(batch):
            face_BTF, scene_BTF = self.scale_face(batch.face_BTF), None
            if fused_BTF is None and self.scale_scene is not None and batch.scene_BTF is not None:
                scene_BTF = self.scale_scene(batch.scene_BTF)
            face_BTF, scene_BTF = self.early_fusion(face_BTF, scene_BTF, batch.in_view_BT)
        return face_BTF, scene_BTF if fused_BTF is None else fused_BTF

    def _polarity(self, batch: Batch) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        if self.polarity_encoder is None or self.scale_early is None:
            return None, None
        v_pol_BF, logits_BP = self.polarity_encoder(self.scale_early(batch.early_B43D))
        return v_pol_BF, logits_BP

    def _frame_tokens(
        self,
        batch: Batch,
        face_BTF: torch.Tensor,
        scene_BTF: torch.Tensor | None,
        v_pol_BF: torch.Tensor | None,
    ) -> Tokens:
        """Return one token per frame and stream, aligned as the pooled ones."""
        scenes = None if scene_BTF is None or self.align_scene is None else self.align_scene(scene_BTF)
        return Tokens(
            face_BSF=self.align_face(face_BTF),
            scene_BSF=scenes,
            polarity_BF=v_pol_BF,
            valid_BS=batch.face_valid_BT,
            scene_valid_BS=None if batch.in_view_BT is None else batch.valid_BT,
        )

    def _pooled_tokens(
        self,
        batch: Batch,
        face_BF: torch.Tensor,
        scene_BF: torch.Tensor | None,
        v_pol_BF: torch.Tensor | None,
    ) -> Tokens:
        """Return V_ft and V_st, each followed by its stream's patch tokens if the config has them."""
        face_BSF = torch.cat(
            [face_BF[:, None], *self._patches(batch.face_patches_BJD, self.align_face)], dim=1
        )
        scene_BSF = None
        if scene_BF is not None:
            patches = self._patches(batch.scene_patches_BJD, self.align_scene)
            scene_BSF = torch.cat([scene_BF[:, None], *patches], dim=1)
        return Tokens(
            face_BSF=face_BSF,
            scene_BSF=scene_BSF,
            polarity_BF=v_pol_BF,
            valid_BS=batch.valid_BT.new_ones(face_BSF.shape[:2]),
        )

    def _patches(self, patches_BJD: torch.Tensor | None, align: Align | None) -> list[torch.Tensor]:
        """Return a stream's patch tokens, projected (both streams by one layer) and aligned; [] if unused."""
        if self.project_patches is None or patches_BJD is None or align is None:
            return []
        return [align(self.project_patches(patches_BJD))]


def _full_precision(batch: Batch) -> torch.autocast:
    """Return a context in which the LSTM runs in float32 (on a GPU, TF32 in cuDNN).

    Autocast would run it in float16, whose gradients vanish.
    """
    return torch.autocast(batch.face_BTF.device.type, enabled=False)


def model_autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """Return the context in which a model of this precision runs."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=in_bf16(precision, device))
