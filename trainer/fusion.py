"""The Type Fusion Encoder (III-B, III-D): learnable queries over polarity, face and scene tokens.

Letters: B clips of a batch; F embedding width; Q learnable queries; S tokens; L blocks.
"""

from dataclasses import dataclass

import torch
from torch import nn

from trainer.config import ModelConfig
from trainer.layers import Attention

_TYPES = ("polarity", "face", "scene")


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Tokens to fuse. Face tokens of one clip are fused with the other tokens of each clip.

    Attributes:
        face_BSF: Pooled face token, optionally followed by patch tokens; or one token per frame.
        scene_BSF: As many scene tokens; None for a face-only model.
        polarity_BF: V_pol; None without it.
        valid_BS: True for face and scene tokens of valid frames.
        scene_valid_BS: True for scene tokens of valid frames, if these are not those of the face. `crossed`
            keys do not use it: a scene token without a face token has no key.
    """

    face_BSF: torch.Tensor
    scene_BSF: torch.Tensor | None
    polarity_BF: torch.Tensor | None
    valid_BS: torch.Tensor
    scene_valid_BS: torch.Tensor | None = None


class TypeFusionEncoder(nn.Module):
    """L blocks of cross-type attention; Q_learn (eq. 6) is shared by all of them.

    `query_stream`: x_0 = Q_learn. In each block, x + Q_learn is the query, and both sub-layers are residual.
    `literal`: eqs. 5-10 as printed; the output of each block is the keys and values of the next.
    """

    def __init__(self, width: int, config: ModelConfig) -> None:
        super().__init__()
        self.form = config.tfe_form
        self.keys = config.tfe_keys
        # Checkpoints store this name. Its T is the three types of tokens.
        self.type_TF = nn.Parameter(0.02 * torch.randn(len(_TYPES), width))
        self.q_learn_QF = nn.Parameter(config.tfe_query_std * torch.randn(config.tfe_queries, width))
        self.blocks = nn.ModuleList(
            CrossTypeBlock(width, config.tfe_heads, config.mlp_ratio, config.dropout)
            for _ in range(config.tfe_blocks)
        )

    def forward(self, tokens: Tokens) -> torch.Tensor:
        """Return the fused queries [B, Q, F] after the last block."""
        key_BSF, value_BSF, valid_BS = self._keys_and_values(tokens)
        q_BQF = self.q_learn_QF.expand(key_BSF.shape[0], -1, -1)
        x_BQF = q_BQF
        for block in self.blocks:
            if self.form == "query_stream":
                x_BQF = block(x_BQF + q_BQF, key_BSF, value_BSF, valid_BS, stream_BQF=x_BQF)
            else:
                x_BQF = key_BSF = value_BSF = block(q_BQF, key_BSF, value_BSF, valid_BS)
                valid_BS = valid_BS.new_ones(x_BQF.shape[:2])
        return x_BQF

    def _keys_and_values(self, tokens: Tokens) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        polarity, face, scene = self.type_TF.unbind(0)
        face_BSF, valid_BS = tokens.face_BSF + face, tokens.valid_BS
        scene_BSF = None if tokens.scene_BSF is None else tokens.scene_BSF + scene
        if self.keys == "crossed" and scene_BSF is not None:
            key, value = [face_BSF], [scene_BSF]
            valid = [valid_BS]
        else:
            key = [face_BSF] if scene_BSF is None else [face_BSF, scene_BSF]
            value = key
            scene_valid_BS = valid_BS if tokens.scene_valid_BS is None else tokens.scene_valid_BS
            valid = [valid_BS, scene_valid_BS][: len(key)]
        if tokens.polarity_BF is not None:
            v_pol = (tokens.polarity_BF + polarity)[:, None]
            key, value = [v_pol, *key], [v_pol, *value]
            valid = [valid_BS.new_ones(valid_BS.shape[0], 1), *valid]
        rows = max(part.shape[0] for part in (*key, *value))

        def joined(parts: list[torch.Tensor]) -> torch.Tensor:
            return torch.cat([part.expand(rows, *part.shape[1:]) for part in parts], dim=1)

        return joined(key), joined(value), joined(valid)


class CrossTypeBlock(nn.Module):
    """One block of eqs. 5-10."""

    def __init__(self, width: int, heads: int, mlp_ratio: int, dropout: float) -> None:
        super().__init__()
        self.norm_tokens = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm_attention = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, mlp_ratio * width), nn.ReLU(), nn.Linear(mlp_ratio * width, width)
        )
        self.norm_mlp = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        query_BQF: torch.Tensor,
        key_BSF: torch.Tensor,
        value_BSF: torch.Tensor,
        valid_BS: torch.Tensor,
        stream_BQF: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Apply eqs. 5, 15 and 7 to 10.

        Args:
            query_BQF: Queries; not normalised.
            key_BSF: Keys, normalised here (eq. 5).
            value_BSF: Values, normalised here with the same parameters.
            valid_BS: True for tokens to attend to.
            stream_BQF: Input that both sub-layers are added to. None: no residual connections (as printed).

        Returns:
            O_final [B, Q, F], or the updated stream.
        """
        key_BSF, value_BSF = self.norm_tokens(key_BSF), self.norm_tokens(value_BSF)  # eq. 5
        attended_BQF = self.attention(query_BQF, key_BSF, value_BSF, valid_BS)  # eq. 15
        o_attn_BQF = self.dropout(self.norm_attention(attended_BQF))  # eq. 7
        if stream_BQF is None:
            return self._feed_forward(o_attn_BQF)
        stream_BQF = stream_BQF + o_attn_BQF
        return stream_BQF + self._feed_forward(stream_BQF)

    def _feed_forward(self, x_BQF: torch.Tensor) -> torch.Tensor:
        """Return LayerNorm(W2 ReLU(W1 x + b1) + b2): eqs. 8-10."""
        out: torch.Tensor = self.dropout(self.norm_mlp(self.mlp(x_BQF)))
        return out
