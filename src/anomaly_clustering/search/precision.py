"""The name of a precision and a device in; the type of number that nearest patches are chosen with out."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch

Precision = Literal["auto", "fp32", "bf16", "int8"]
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.int8}


def resolve(precision: Precision, device: torch.device) -> torch.dtype:
    """The type of number that matrix products are computed with.

    Args:
        precision: a type, or 'auto' for the fastest one on the device.
        device: where the products are computed.

    Raises:
        ValueError: `precision` has another name, or is 'int8' where such products are not exact.

    Example:
        >>> resolve("bf16", torch.device("cpu"))
        torch.bfloat16
    """
    if precision not in get_args(Precision):
        raise ValueError(f"precision must be one of {get_args(Precision)}, got {precision!r}")
    if precision == "auto":
        precision = _fastest(device)
    if precision == "int8" and not _multiplies_integers(device):
        place = "this processor" if device.type == "cpu" else f"a {device.type} device"
        raise ValueError(
            "precision 'int8' needs PyTorch 2.11 or newer and VNNI instructions (Intel since 2019, AMD since Zen 4), "
            f"which {place} has not; choose 'auto'"
        )
    return TYPES[precision]


def capabilities() -> Mapping[str, Any]:
    """What the processor can do, by name; empty where PyTorch does not know."""
    return torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}


def _fastest(device: torch.device) -> Precision:
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device.type == "cpu" and capabilities().get("amx_bf16", False):
        return "bf16"
    # Measured in shares of float32's time: integers take a third on AMD's processors and a quarter on Intel's, bfloat16
    # takes a half on AMD's and 1.6 on Intel's, where only one of the two vector units that multiply float32 has it.
    return "int8" if _multiplies_integers(device) else "fp32"


def _multiplies_integers(device: torch.device) -> bool:
    """Whether products of 8-bit integers are exact: without these instructions sums of two are cut off at 16 bits."""
    if device.type != "cpu" or not hasattr(torch, "_int_mm"):
        return False
    known = capabilities()
    return known.get("avx512_vnni", False) or known.get("avx_vnni", False)
