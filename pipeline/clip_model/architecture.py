"""Architecture of a CLIP model in numbers, from open_clip by name or from configs beside files.

Both forms of config, open_clip's and transformers', become one flat mapping (`vision.width`, `text.heads`),
so that a comparison shows the differences between a file's config and the chosen encoder.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.errors import ConfigError

GELU, QUICK_GELU = "gelu", "quickgelu"
TITLES = {GELU: "GELU", QUICK_GELU: "QuickGELU"}
_QUICK = "-quickgelu"
_NORM_EPSILON = 1e-5
"""Epsilon of open_clip's layer normalisation."""
_NOT_SHAPE = {"patch_dropout", "output_tokens"}
"""Settings of open_clip's encoders that affect only training, or outputs that are not used here."""
_TOKENIZER = {"hf_tokenizer_name", "tokenizer_mode", "tokenizer_kwargs", "pad_id", "eos_id"}


def supported_models() -> tuple[str, ...]:
    """Return the names of open_clip's CLIP-class models."""
    import open_clip

    return tuple(name for name in open_clip.list_models() if is_clip_class(open_clip.get_model_config(name)))


def activation_of(name: str) -> str:
    """Return the activation with which open_clip builds the model: ``gelu`` or ``quickgelu``."""
    import open_clip

    described = open_clip.get_model_config(name) or {}
    return QUICK_GELU if described.get("quick_gelu") else GELU


def with_activation(name: str, activation: str) -> str:
    """Return the name of the same model, built with this activation."""
    base = name.removesuffix(_QUICK)
    return f"{base}{_QUICK}" if activation == QUICK_GELU else base


def is_clip_class(described: Mapping[str, Any]) -> bool:
    """Return whether a config of open_clip describes a CLIP-class model.

    Such a model is a vision transformer whose output is its class token, and a causal text encoder whose
    output is the end-of-text token. Nothing is built, because some other models need further libraries.
    """
    vision, text = described.get("vision_cfg"), described.get("text_cfg")
    if not isinstance(vision, Mapping) or not isinstance(text, Mapping):
        return False
    return (
        not described.keys() & {"multimodal_cfg", "custom_text"}
        and not vision.keys() & {"timm_model_name", "attentional_pool", "final_ln_after_pool"}
        and isinstance(vision.get("layers"), int)
        and vision.get("pool_type", "tok") == "tok"
        and not text.keys() & {"hf_model_name", "embed_cls", "no_causal_mask"}
        and text.get("pool_type", "argmax") == "argmax"
    )


def architecture_of(name: str) -> dict[str, Any]:
    """Return the numbers of one of open_clip's models."""
    import open_clip

    return from_open_clip(open_clip.get_model_config(name))


def from_open_clip(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of a config in open_clip's form (``model_cfg``), with its defaults.

    Raises ConfigError for another class of model, and for settings that open_clip does not know.
    """
    from open_clip.model import CLIPTextCfg, CLIPVisionCfg

    if not is_clip_class(described):
        msg = "it describes another class of model than CLIP's"
        raise ConfigError(msg)
    try:
        vision = vars(CLIPVisionCfg(**described["vision_cfg"]))
        text = vars(CLIPTextCfg(**described["text_cfg"]))
        return {
            "embed_dim": described.get("embed_dim"),
            "vision.heads": vision["width"] // vision["head_width"],
            "vision.mlp_width": int(vision["width"] * vision["mlp_ratio"]),
            "text.mlp_width": int(text["width"] * text["mlp_ratio"]),
            "norm_epsilon": _NORM_EPSILON,
            **_others("vision", vision, {"head_width", "mlp_ratio", *_NOT_SHAPE}),
            **_others("text", text, {"mlp_ratio", *_TOKENIZER, *_NOT_SHAPE}),
        }
    except (TypeError, ZeroDivisionError) as error:
        msg = f"its settings are not open_clip's ({error})"
        raise ConfigError(msg) from error


def num_parameters(numbers: Mapping[str, Any]) -> int:
    """Return the number of parameters of a model with this architecture."""
    side = numbers["vision.image_size"] // numbers["vision.patch_size"]
    vision, text, embedded = numbers["vision.width"], numbers["text.width"], numbers["embed_dim"]
    patches = 3 * numbers["vision.patch_size"] ** 2 * vision + (side**2 + 2) * vision
    words = (numbers["text.vocab_size"] + numbers["text.context_length"]) * text
    norms_and_projections = 4 * vision + 2 * text + (vision + text) * embedded
    temperature = 1
    towers = _num_in_blocks("vision", numbers) + _num_in_blocks("text", numbers)
    return int(patches + words + norms_and_projections + temperature + towers)


def _num_in_blocks(tower: str, numbers: Mapping[str, Any]) -> int:
    width, hidden = numbers[f"{tower}.width"], numbers[f"{tower}.mlp_width"]
    attention, norms = 4 * width * (width + 1), 4 * width
    mlp = 2 * width * hidden + width + hidden
    scales = 0 if numbers[f"{tower}.ls_init_value"] is None else 2 * width
    return int(numbers[f"{tower}.layers"] * (attention + norms + mlp + scales))


def from_transformers(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of a config.json of transformers' CLIP, with transformers' defaults.

    Numbers that are not in this form, such as the kind of pooling, are left out.
    """
    vision, text = _section(described, "vision"), _section(described, "text")
    return {
        "embed_dim": described.get("projection_dim", 512),
        "vision.layers": vision.get("num_hidden_layers", 12),
        "vision.width": vision.get("hidden_size", 768),
        "vision.heads": vision.get("num_attention_heads", 12),
        "vision.mlp_width": vision.get("intermediate_size", 3072),
        "vision.patch_size": vision.get("patch_size", 32),
        "vision.image_size": vision.get("image_size", 224),
        "text.layers": text.get("num_hidden_layers", 12),
        "text.width": text.get("hidden_size", 512),
        "text.heads": text.get("num_attention_heads", 8),
        "text.mlp_width": text.get("intermediate_size", 2048),
        "text.context_length": text.get("max_position_embeddings", 77),
        "text.vocab_size": text.get("vocab_size", 49408),
        "norm_epsilon": vision.get("layer_norm_eps", _NORM_EPSILON),
    }


def activation_of_transformers(described: Mapping[str, Any]) -> str | None:
    """Return the activation that a config.json of transformers' CLIP states; None if it is not CLIP's.

    ``quick_gelu`` is transformers' default, which its configs may leave out.
    """
    stated = {_section(described, tower).get("hidden_act", "quick_gelu") for tower in ("vision", "text")}
    return {"quick_gelu": QUICK_GELU, "gelu": GELU}.get(stated.pop()) if len(stated) == 1 else None


def _section(described: Mapping[str, Any], tower: str) -> dict[str, Any]:
    """Return an encoder's settings; older configs repeat them, with precedence, as ``..._config_dict``."""
    parts = [described.get(f"{tower}_config"), described.get(f"{tower}_config_dict")]
    return {key: value for part in parts if isinstance(part, Mapping) for key, value in part.items()}


def _others(prefix: str, settings: Mapping[str, Any], left_out: set[str]) -> dict[str, Any]:
    return {f"{prefix}.{key}": value for key, value in settings.items() if key not in left_out}
