"""The name of a network in; where timm has published its weights, and under which licence, or similar names out."""

import re
from difflib import get_close_matches
from typing import NamedTuple

from huggingface_hub import constants

from anomaly_clustering.features.plain_timm import timm

EMBEDDED = "embedded"
# What a licence allows, where that is well known; whatever is not here has terms of its own.
TERMS = {
    "apache-2.0": "any use, also commercial",
    "mit": "any use, also commercial",
    "bsd-3-clause": "any use, also commercial",
    "cc-by-4.0": "any use that names the authors",
    "cc-by-nc-4.0": "no commercial use",
    "fair-noncommercial-research-license": "research alone, no commercial use",
    "dinov3-license": "Meta's own terms, not an open source licence: read them first",
}
OWN_TERMS = "terms of its own: read them first"


class Published(NamedTuple):
    """Weights of a network on the Hugging Face Hub.

    Attributes:
        network: its name in timm, with the tag that says how it was trained.
        repository: OWNER/NAME on the hub.
        licence: as timm names it; None where it names none.
    """

    network: str
    repository: str
    licence: str | None

    @property
    def page(self) -> str:
        """The address at which people read about it."""
        return f"{constants.ENDPOINT}/{self.repository}"

    @property
    def terms(self) -> str:
        """What the licence allows, in a few words."""
        return TERMS.get(self.licence or "", OWN_TERMS)


def published(network: str) -> Published:
    """Look a network up in timm, which needs no network connection.

    Args:
        network: its name in timm; without a tag that of timm's default.

    Raises:
        ValueError: timm has no such network, no weights of that tag, or none at all on the hub.

    Example:
        >>> published("wide_resnet50_2").repository
        'timm/wide_resnet50_2.racm_in1k'
        >>> published("vit_small_patch16_dinov3").terms
        "Meta's own terms, not an open source licence: read them first"
    """
    if network == EMBEDDED:
        raise ValueError(f"the weights of {EMBEDDED!r} are installed with this package, and need no network connection")
    check_name(network)
    config = timm.models.get_pretrained_cfg(network)
    if config is None or not config.hf_hub_id:
        raise ValueError(
            f"timm has no downloadable weights for {network!r}; {_similar(network, timm.list_pretrained())}"
        )
    name = f"{config.architecture}.{config.tag}" if config.tag else network
    return Published(name, config.hf_hub_id, config.license)


def check_name(network: str) -> None:
    """See that timm has a network, and weights of its tag if it has one.

    Args:
        network: its name in timm.

    Raises:
        ValueError: it has not; the message lists similar names.

    Example:
        >>> check_name("resnet81")
        Traceback (most recent call last):
        ValueError: timm has no network 'resnet81'; similar are ...'resnet18'...
    """
    if not timm.is_model(network):
        known = timm.list_pretrained() if "." in network else timm.list_models()
        raise ValueError(f"timm has no network {network!r}; {_similar(network, known)}")
    architecture, _, tag = network.partition(".")
    tagged = timm.list_pretrained(f"{architecture}.*")
    if tag and tagged and network not in tagged:
        raise ValueError(
            f"timm {timm.__version__} has no weights {tag!r} of network {architecture!r}; it has "
            f"{', '.join(map(repr, tagged))}"
        )


def of_repository(repository: str) -> Published | None:
    """The weights that a repository holds.

    Args:
        repository: OWNER/NAME on the hub.

    Returns:
        None where timm knows no network whose weights are there.

    Example:
        >>> of_repository("timm/resnet18.a1_in1k").network
        'resnet18.a1_in1k'
    """
    known = (
        name for name in timm.list_pretrained() if timm.models.get_pretrained_cfg_value(name, "hf_hub_id") == repository
    )
    return next(map(published, known), None)


def _similar(network: str, known: list[str]) -> str:
    """Names that are spelt alike, or else that have the words of the name in them, as 'dinov3' and 'small'."""
    close = get_close_matches(network, known, n=5)
    if not close:
        words = [word for word in re.split(r"[^a-z0-9]+", network.lower()) if len(word) > 2]
        held = {name: sum(word in name for word in words) for name in known}
        close = [name for name in sorted(known, key=lambda name: -held[name]) if held[name]][:5]
    return f"similar are {', '.join(map(repr, close))}" if close else "timm.list_models() lists all"
