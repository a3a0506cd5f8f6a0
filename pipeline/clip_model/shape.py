"""The widths of a CLIP model, from open_clip's description of it: no layer is built."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class EncoderShape:
    """Sizes of a vision tower.

    embed_width: F, of the embedding that both towers share. encoder_width: D, of the tower's blocks.
    num_patches: patch tokens per picture, without the class token.
    """

    embed_width: int
    encoder_width: int
    num_patches: int


def shape_of(name: str) -> EncoderShape:
    """Return the sizes of the CLIP-class model that open_clip knows by this name."""
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
    """Height and width, which a description may give as one number."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])
