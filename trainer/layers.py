"""The parts between cached features and fusion: LSTM, Frame Encoder, alignment, Polarity Encoder.

Values of invalid frames do not affect the result. In `valid_BT`, valid frames come first. The valid frames of
the face stream may have gaps (`Batch.face_valid_BT`).

Letters: B clips of a batch; T frames; F embedding width; D encoder width; Q queries; S tokens.
4 and 3 are early blocks and their statistics.
"""

import torch
from torch import nn
from torch.nn import functional

from pipeline.errors import ConfigError
from pipeline.types import EARLY_STATISTICS, NUM_EARLY_BLOCKS, Polarity

NUM_POLARITIES = len(Polarity) - 1
_SMALL_STD = 0.02
_CONSTANT_STD = 1e-6
"""A deviation up to this counts as 0: neighbouring float16 values near 0.001 differ by as much."""


def masked_mean(x_BTF: torch.Tensor, valid_BT: torch.Tensor) -> torch.Tensor:
    """Return the mean over valid frames [B, F] (eq. 14)."""
    kept = x_BTF.masked_fill(~valid_BT[..., None], 0.0)
    return kept.sum(dim=1) / valid_BT.sum(dim=1, keepdim=True)


class Standardise(nn.Module):
    """Scaling of inputs to zero mean and unit deviation, which `fit` measures and the state dict stores.

    Before `fit`, inputs are returned unchanged. A constant value is only centred (deviation 1). Divided by a
    deviation of nearly 0, another value on a later clip would dominate all others.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.mean: torch.Tensor
        self.std: torch.Tensor
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("std", torch.ones(shape))

    def fit(self, samples: torch.Tensor) -> None:
        """Measure mean and deviation over the first axis of `samples` [..., *shape]."""
        samples = samples.double()
        self.mean.copy_(samples.mean(dim=0))
        std = samples.std(dim=0, correction=0)
        self.std.copy_(torch.where(std > _CONSTANT_STD, std, 1.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `x` [..., *shape], standardised."""
        return (x - self.mean) / self.std


class Attention(nn.Module):
    """Multi-head attention (eq. 15) of queries over keys and values of the same width."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            msg = f"{heads} attention heads do not divide the width {width}; set a number of heads that does."
            raise ConfigError(msg)
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(
        self, x_BQF: torch.Tensor, key_BSF: torch.Tensor, value_BSF: torch.Tensor, valid_BS: torch.Tensor
    ) -> torch.Tensor:
        """Attend from queries to tokens.

        Args:
            x_BQF: Queries.
            key_BSF: Keys of the tokens.
            value_BSF: Values of the tokens.
            valid_BS: True for tokens to attend to; at least one per clip. Others get no weight.

        Returns:
            Attended values [B, Q, F].
        """

        def split(y: torch.Tensor) -> torch.Tensor:
            return y.view(*y.shape[:2], self.heads, -1).transpose(1, 2)

        attended = functional.scaled_dot_product_attention(
            split(self.query(x_BQF)),
            split(self.key(key_BSF)),
            split(self.value(value_BSF)),
            attn_mask=valid_BS[:, None, None, :],
        )
        out: torch.Tensor = self.out(attended.transpose(1, 2).flatten(2))
        return out


class EarlyFusion(nn.Module):
    """The LSTM of eq. 13, residual, with one set of weights for both streams.

    `time` runs over the frames of each stream. Invalid frames do not affect valid ones, because they
    come last and the LSTM runs forward only. `type` runs over face, then scene, of every frame.

    With a mask of the face's frames, `time` goes from one frame of the mask to the next, as if the others
    were not in the clip. On the other frames, `type` runs over the scene alone.
    """

    def __init__(self, width: int, over: str) -> None:
        super().__init__()
        self.over = over
        self.lstm = nn.LSTM(width, width, batch_first=True)

    def forward(
        self, face_BTF: torch.Tensor, scene_BTF: torch.Tensor | None, in_view_BT: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Fuse both streams over time or over type.

        Args:
            face_BTF: Features of the face; those of one clip are fused with each scene.
            scene_BTF: Features of the scene; None without it.
            in_view_BT: True for the frames of the face stream. None: all valid frames. The fused face of
                another frame has no meaning.

        Returns:
            Both streams, in their own shapes.
        """
        if self.over == "time":
            return self._over_time_of_both(face_BTF, scene_BTF, in_view_BT)
        streams = [face_BTF] if scene_BTF is None else [face_BTF.expand_as(scene_BTF), scene_BTF]
        types = torch.stack(streams, dim=2)
        fused = types + self.lstm(types.flatten(0, 1))[0].unflatten(0, types.shape[:2])
        if scene_BTF is None:
            return fused[:, :, 0], None
        if in_view_BT is None:
            return fused[:, :, 0], fused[:, :, 1]
        alone = scene_BTF + self.lstm(scene_BTF.flatten(0, 1)[:, None])[0].view_as(scene_BTF)
        return fused[:, :, 0], torch.where(in_view_BT[..., None], fused[:, :, 1], alone)

    def over_time(self, x_BTF: torch.Tensor) -> torch.Tensor:
        """Return one stream, fused over all its frames [B, T, F]."""
        hidden: torch.Tensor = self.lstm(x_BTF)[0]
        return x_BTF + hidden

    def _over_time_of_both(
        self, face_BTF: torch.Tensor, scene_BTF: torch.Tensor | None, in_view_BT: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Fuse both streams in one pass of the LSTM, whose weights are read once for each frame.

        The face's frames in view come first, in their order, and go back to their places afterwards.
        """
        x_BTF, place_BTF = face_BTF, None
        if in_view_BT is not None:
            after_BT = in_view_BT.sum(dim=1, keepdim=True) + (~in_view_BT).cumsum(dim=1)
            place_BT = torch.where(in_view_BT, in_view_BT.cumsum(dim=1), after_BT) - 1
            place_BTF = place_BT[..., None].expand_as(face_BTF)
            x_BTF = torch.zeros_like(face_BTF).scatter(1, place_BTF, face_BTF)
        streams = [x_BTF] if scene_BTF is None else [x_BTF, scene_BTF]
        hidden: torch.Tensor = self.lstm(torch.cat(streams))[0]
        of_face, of_scene = hidden[: x_BTF.shape[0]], hidden[x_BTF.shape[0] :]
        if place_BTF is not None:
            of_face = of_face.gather(1, place_BTF)
        return face_BTF + of_face, None if scene_BTF is None else scene_BTF + of_scene


class EncoderBlock(nn.Module):
    """A pre-norm transformer block: self-attention and MLP, both residual."""

    def __init__(self, width: int, heads: int, mlp_ratio: int, dropout: float) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, mlp_ratio * width),
            nn.GELU(),
            nn.Linear(mlp_ratio * width, width),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BTF: torch.Tensor, valid_BT: torch.Tensor) -> torch.Tensor:
        """Return the tokens [B, T, F]. No token attends to invalid ones; each clip has at least one valid."""
        y = self.norm_attention(x_BTF)
        x_BTF = x_BTF + self.dropout(self.attention(y, y, y, valid_BT))
        out: torch.Tensor = x_BTF + self.dropout(self.mlp(x_BTF))
        return out


class FrameEncoder(nn.Module):
    """The trainable Frame Encoder (III-D): a transformer over the face frames, with learned positions."""

    def __init__(
        self, num_frames: int, width: int, *, depth: int, heads: int, mlp_ratio: int, dropout: float
    ) -> None:
        super().__init__()
        self.position_TF = nn.Parameter(_SMALL_STD * torch.randn(num_frames, width))
        self.blocks = nn.ModuleList(EncoderBlock(width, heads, mlp_ratio, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, face_BTF: torch.Tensor, valid_BT: torch.Tensor) -> torch.Tensor:
        """Return one encoded vector per frame [B, T, F]; ignore those of invalid frames."""
        x_BTF = face_BTF + self.position_TF
        for block in self.blocks:
            x_BTF = block(x_BTF, valid_BT)
        out: torch.Tensor = self.norm(x_BTF)
        return out


class Align(nn.Module):
    """A map into the space that both streams share (III-D).

    A residual convolution along the feature axis (one channel, kernel 3), then a linear layer.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, kernel_size=3, padding=1)
        self.linear = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return aligned features of the same shape [..., F]."""
        flat = x.reshape(-1, 1, x.shape[-1])
        out: torch.Tensor = self.linear((flat + self.conv(flat)).reshape(x.shape))
        return out


class PolarityEncoder(nn.Module):
    """Layers from the scene stream's first four blocks to V_pol and polarity logits (III-D, eq. 1)."""

    def __init__(self, encoder_width: int, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(encoder_width)
        statistics = len(EARLY_STATISTICS)
        self.project = nn.ModuleList(
            nn.Linear(statistics * encoder_width, width) for _ in range(NUM_EARLY_BLOCKS)
        )
        self.mlp = nn.Sequential(
            nn.GELU(), nn.Linear(NUM_EARLY_BLOCKS * width, width), nn.GELU(), nn.Linear(width, width)
        )
        self.classify = nn.Linear(width, NUM_POLARITIES)

    def forward(self, early_B43D: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return V_pol [B, F] and logits [B, 3] in the order of `pipeline.types.Polarity`."""
        early_B4X = self.norm(early_B43D).flatten(2)  # X = 3 D
        blocks = [project(early_B4X[:, k]) for k, project in enumerate(self.project)]
        v_pol_BF = self.mlp(torch.cat(blocks, dim=-1))
        return v_pol_BF, self.classify(v_pol_BF)
