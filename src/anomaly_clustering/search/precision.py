"""The name of a precision and a device in; the type of number that nearest patches are chosen with out."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch

Precision = Literal["auto", "fp32", "bf16", "int8"]
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.int8}


def resolve(precision: Precision, device: torch.device) -> torch.dtype:
    """The type of number that matrix products are computed with.

    Raises:
        ValueError: `precision` has another name, or is 'int8' where such products are not exact.
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
    """Of the processor, where PyTorch knows them."""
    return torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}


def _fastest(device: torch.device) -> Precision:
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device.type == "cpu" and capabilities().get("amx_bf16", False):
        return "bf16"
    # Measured in float32's time: integers take a third on AMD's processors and a quarter on Intel's, bfloat16 half and
    # 1.6, since of Intel's two vector units that multiply float32 one alone has it.
    return "int8" if _multiplies_integers(device) else "fp32"


def _multiplies_integers(device: torch.device) -> bool:
    """Exactly: without these instructions sums of two products are cut off at 16 bits."""
    if device.type != "cpu" or not hasattr(torch, "_int_mm"):
        return False
    known = capabilities()
    return known.get("avx512_vnni", False) or known.get("avx_vnni", False)
