"""A baseline: a transformer over the face frames with a learnable class token, on cached features.

It follows the temporal part of DFER-CLIP (Zhao and Patras, BMVC 2023, arXiv 2308.13382). docs/baselines.md
lists what is taken from it and what differs.

Letters: B clips of a batch; T frames; F embedding width; C classes; S = 1 + T tokens, the class token first.
"""

import torch
from torch import nn
from torch.nn import functional

from trainer.batches import Batch
from trainer.config import TrainConfig
from trainer.layers import EncoderBlock, Standardise, masked_mean
from trainer.model import FeatureShape, Outputs, SceneStream, VideoModel, model_autocast


class TemporalTransformer(VideoModel):
    """The baseline: class token and face frames with learned positions -> blocks -> the class token."""

    def __init__(self, config: TrainConfig, shape: FeatureShape) -> None:
        super().__init__()
        model, width = config.model, shape.embed_width
        self.precision = model.precision
        self.logit_scale = config.losses.logit_scale
        self.polarity_encoder = None
        self.scale_face = Standardise((width,))
        self.class_token_F = nn.Parameter(torch.randn(width))
        self.position_SF = nn.Parameter(torch.randn(1 + shape.num_frames, width))
        self.blocks = nn.ModuleList(
            EncoderBlock(width, model.frame_encoder_heads, model.mlp_ratio, model.dropout)
            for _ in range(model.frame_encoder_depth)
        )

    def forward(self, batch: Batch, text_CF: torch.Tensor, stream: SceneStream | None = None) -> Outputs:
        """Encode the batch and compare the class token with the class features `text_CF` of length 1.

        `encoded_BF` is the mean of the encoded frames, `face_BF` the class token. `stream` is not used.
        """
        valid_BT = batch.face_valid_BT
        with model_autocast(self.precision, batch.face_BTF.device):
            face_BTF = self.scale_face(batch.face_BTF)
            num_clips = face_BTF.shape[0]  # not len, which would fix the number in an ONNX graph
            token_B1F = self.class_token_F.expand(num_clips, 1, -1)
            x_BSF = torch.cat([token_B1F, face_BTF], dim=1) + self.position_SF
            valid_BS = torch.cat([valid_BT.new_ones(num_clips, 1), valid_BT], dim=1)
            for block in self.blocks:
                x_BSF = block(x_BSF, valid_BS)
        x_BSF = x_BSF.float()
        token_BF = x_BSF[:, 0]
        output_BF = functional.normalize(token_BF, dim=-1)
        return Outputs(
            logits_BC=self.logit_scale * output_BF @ text_CF.T,
            output_BF=output_BF,
            encoded_BF=masked_mean(x_BSF[:, 1:], valid_BT),
            face_BF=token_BF,
            scene_BF=None,
            polarity_BF=None,
            polarity_logits_BP=None,
        )

    def scene_stream(self, batch: Batch) -> SceneStream:  # noqa: ARG002 - there is no scene
        """Return no values, because the model has no scene."""
        return SceneStream(scene_BTF=None, polarity_BF=None, polarity_logits_BP=None)

    def fit_scales(self, batches: list[Batch]) -> None:
        """Measure means and deviations of the face features over the valid frames of `batches`."""
        self.scale_face.fit(torch.cat([batch.face_BTF[batch.face_valid_BT] for batch in batches]))
