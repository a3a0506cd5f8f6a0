"""Widths of a CLIP model, from open_clip's description; no layer is built."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class EncoderShape:
    """Sizes of an image encoder.

    Attributes:
        embed_width: F, the width of the embedding of both encoders.
        encoder_width: D, the width of the image encoder's blocks.
        num_patches: Patch tokens per image, without the class token.
    """

    embed_width: int
    encoder_width: int
    num_patches: int


def shape_of(name: str) -> EncoderShape:
    """Return the sizes of open_clip's CLIP-class model of this name."""
    import open_clip
    from open_clip.model import CLIPVisionCfg

    described = open_clip.get_model_config(name)
    vision = CLIPVisionCfg(**described["vision_cfg"])
    rows, columns = (
        image // patch
        for image, patch in zip(_pair(vision.image_size), _pair(vision.patch_size), strict=True)
    )
    return EncoderShape(
        embed_width=int(described["embed_dim"]),
        encoder_width=int(vision.width),
        num_patches=rows * columns,
    )


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    """Return height and width of a size, which may be one number."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])
