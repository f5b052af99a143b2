"""The name of a precision and a device in; the type of number that nearest patches are chosen with out."""

import os
import warnings
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from typing import Any, Literal

import torch

from anomaly_clustering.system.choices import check_choice

Precision = Literal["auto", "fp32", "fp16", "bf16", "int8"]
TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16, "int8": torch.int8}
# What the fused search multiplies, and the first GPUs whose tensor cores do.
FUSED_TYPES = (torch.float16, torch.bfloat16, torch.float32)
LEAST_CAPABILITY = (8, 0)


def resolve(precision: Precision, device: torch.device) -> torch.dtype:
    """The type of number that matrix products are computed with.

    Args:
        precision: a type, or 'auto' for the fastest one on the device.
        device: where the products are computed.

    Raises:
        ValueError: `precision` has another name, is 'int8' where such products are not exact, or 'fp16' where the fused
            search does not run.

    Example:
        >>> resolve("bf16", torch.device("cpu"))
        torch.bfloat16
    """
    check_choice("precision", precision, Precision)
    if precision == "auto":
        precision = _fastest(device)
    if precision == "int8" and not _multiplies_integers(device):
        place = "this processor" if device.type == "cpu" else f"a {device.type} device"
        raise ValueError(
            "precision 'int8' needs PyTorch 2.11 or newer and VNNI instructions (Intel since 2019, AMD since Zen 4), "
            f"which {place} has not; choose 'auto'"
        )
    if precision == "fp16" and not fused_runs_on(device, torch.float16):
        place = "this processor is none" if device.type == "cpu" else f"this {device.type} device has not all of these"
        raise ValueError(
            "precision 'fp16' needs a GPU of NVIDIA's Ampere generation or newer, and Triton 3.4 or newer with a C "
            f"compiler and the headers of Python (gcc and python3-dev), and {place}; choose 'auto'"
        )
    return TYPES[precision]


def fused_runs_on(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether the fused search runs on a device; where only Triton or its compiler is missing, a warning says so, once.

    Args:
        device: where the bags are.
        dtype: of the products.

    Example:
        >>> fused_runs_on(torch.device("meta"), torch.float32)
        False
    """
    if dtype not in FUSED_TYPES:
        return False
    if device.type == "cpu":
        return interpreted()
    # Devices of AMD are called cuda as well.
    if device.type != "cuda" or torch.version.hip or torch.cuda.get_device_capability(device) < LEAST_CAPABILITY:
        return False
    return _has_triton() and _triton_compiles()


@cache
def interpreted() -> bool:
    """Whether Triton's interpreter stands in for a GPU (TRITON_INTERPRET=1), so that the kernels run on a processor."""
    if os.environ.get("TRITON_INTERPRET") not in ("1", "true", "on", "yes"):
        return False
    return _has_triton()


@cache
def _has_triton() -> bool:
    found = find_spec("triton") is not None and find_spec("triton.tools.tensor_descriptor") is not None
    if not found:
        warnings.warn(
            "Triton 3.4 or newer is not installed, so this GPU takes several times as long to find the nearest patches "
            "as it could; PyTorch 2.8 and newer bring it on Linux",
            stacklevel=2,
        )
    return found


@cache
def _triton_compiles() -> bool:
    """Whether what Triton calls a GPU with can be built here, which takes more than Triton itself."""
    from triton.runtime import driver

    try:
        driver.active.get_current_target()
    # Of a compiler, of a loader, of Triton: whatever is missing, another search does without.
    except Exception as error:
        warnings.warn(
            f"Triton cannot compile here ({error}), so this GPU takes several times as long to find the nearest "
            "patches as it could: install a C compiler and the headers of Python (gcc and python3-dev), or go on with "
            "the slower search",
            stacklevel=2,
        )
        return False
    return True


def capabilities() -> Mapping[str, Any]:
    """What the processor can do, by name; empty where PyTorch does not know."""
    return torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}


def _fastest(device: torch.device) -> Precision:
    if fused_runs_on(device, torch.float16):
        return "fp16"
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
