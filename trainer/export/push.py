"""An exported model -> a repository of a model hub, through huggingface_hub.

The hub and the user's token are those of huggingface_hub: ``HF_ENDPOINT``, ``HF_TOKEN``, ``hf auth login``.
"""

from dataclasses import dataclass

from pipeline.errors import ConfigError, OusError, first_line
from pipeline.own_dir import Folder, OwnDir
from trainer.export.card import licensed_names
from trainer.run_info import RunInfo

_LARGEST_PATH = 96
_SOMETIMES = ("head.onnx", "scenes.safetensors")
"""Files that not every export has."""


class PushError(OusError):
    """A model that the hub did not take."""


@dataclass(frozen=True, kw_only=True)
class PushedModel:
    """Result of `push_model`.

    Attributes:
        name: Repository, as ``owner/name``.
        url: Address of the commit.
        is_private: Whether only its owner sees the repository.
    """

    name: str
    url: str
    is_private: bool


def require_rights(info: RunInfo, *, has_rights: bool) -> None:
    """Raise ConfigError for a model of licensed data, unless the user may share it."""
    licensed = licensed_names(info)
    if licensed and not has_rights:
        msg = (
            f"--push: the model was trained on {licensed}, which is under a licence for research; the "
            "authors decide whether weights may be shared. If they have agreed, add --i-hold-the-rights."
        )
        raise ConfigError(msg)


def require_name(name: str) -> None:
    """Raise ConfigError unless a name is ``owner/name`` as hubs allow it."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        msg = f"--push '{name[:_LARGEST_PATH]}': {first_line(error)}"
        raise ConfigError(msg) from error
    if name.count("/") != 1:
        msg = f"--push '{name}': give owner/name, such as kim/ous-demo."
        raise ConfigError(msg)


def push_model(
    model_dir: Folder, name: str, info: RunInfo, *, has_rights: bool = False, is_private: bool = True
) -> PushedModel:
    """Upload all files of an exported model to a repository, which is created if it is missing.

    Files of an earlier export that this one does not have are removed there.

    Args:
        model_dir: The exported model.
        name: Repository, as ``owner/name``.
        info: Origin of the model.
        has_rights: Whether the user may share weights that were trained on licensed data.
        is_private: Whether a new repository is private. One that is there keeps its visibility.

    Raises:
        ConfigError: The name is not allowed, or the data are under a licence.
        PushError: There is no token, no network, no right to write, or another error of the hub.
    """
    from huggingface_hub import HfApi

    require_name(name)
    require_rights(info, has_rights=has_rights)
    place = OwnDir.of(model_dir)
    api = HfApi(library_name="ous")
    try:
        api.create_repo(name, private=is_private, exist_ok=True, repo_type="model")
        found = api.repo_info(name, repo_type="model")
        commit = api.upload_folder(
            repo_id=name,
            folder_path=place.path,
            repo_type="model",
            delete_patterns=list(_SOMETIMES),
            commit_message=f"OUS model trained on {info.trained_on}, seed {info.seed}",
        )
    except Exception as error:  # noqa: BLE001 - the library of its HTTP errors differs among versions
        reasons = [first_line(one).rstrip(".") for one in (error, error.__cause__) if one]
        why = " ".join(f"{reason}." for reason in dict.fromkeys(reasons))
        msg = (
            f"--push '{name}' to {api.endpoint} failed: {why} The model is complete in "
            f"'{place.path}'. Check the name and the network, log in with `hf auth login` or HF_TOKEN, and "
            "export again to another --out."
        )
        raise PushError(msg) from error
    return PushedModel(name=name, url=str(commit.commit_url), is_private=bool(found.private))
