"""What GPUs round products to, by PyTorch's settings of the old and of the new kind; none of it needs a GPU."""

import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import pytest
import torch

from anomaly_clustering.features.convolutions import exact_convolutions
from anomaly_clustering.features.embedder import settings_of_products
from anomaly_clustering.search.fused_plan import make_plan

# What a user may have set before, and what a user may set afterwards, in the old and the new way.
SWITCHES: dict[str, Callable[[], object]] = {
    "nothing": lambda: None,
    "allowed": lambda: setattr(torch.backends.cudnn, "allow_tf32", True),
    "forbidden": lambda: setattr(torch.backends.cudnn, "allow_tf32", False),
    "convolutions exact": lambda: setattr(torch.backends.cudnn.conv, "fp32_precision", "ieee"),
    "all of cuDNN exact": lambda: setattr(torch.backends.cudnn, "fp32_precision", "ieee"),
    "all exact": lambda: setattr(torch.backends, "fp32_precision", "ieee"),
    "all rounded": lambda: setattr(torch.backends, "fp32_precision", "tf32"),
    "products rounded": lambda: setattr(torch.backends.cuda.matmul, "fp32_precision", "tf32"),
    "high": lambda: torch.set_float32_matmul_precision("high"),
}


def settings_read() -> list[object]:
    """What the user reads of them, in both ways; PyTorch raises where old and new ones are mixed."""
    new = [torch.backends, torch.backends.cudnn, torch.backends.cudnn.conv, torch.backends.cuda.matmul]
    found: list[object] = [switch.fp32_precision for switch in new]
    for old in (lambda: torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision):
        try:
            found.append(old())
        except RuntimeError:
            found.append("mixed")
    return found


def in_a_child(first: str, then: str, within: bool) -> None:
    """Print what is read; no switch can be put back to where nobody had set it."""
    if os.fork():
        assert os.wait()[1] == 0
        return
    SWITCHES[first]()
    if within:
        with exact_convolutions(torch.device("cuda")):
            assert torch.backends.cudnn.conv.fp32_precision in ("ieee", "none")
    before = settings_read()
    SWITCHES[then]()
    print(before, settings_read(), flush=True)
    os._exit(0)


PAIRS = list(product(SWITCHES, SWITCHES))


def test_convolutions_of_a_gpu_are_exact_and_all_settings_are_as_they_were_afterwards() -> None:
    ended = subprocess.run([sys.executable, __file__], stdout=subprocess.PIPE, check=True, text=True)
    lines = ended.stdout.splitlines()
    assert len(lines) == 2 * len(PAIRS)
    for pair, without, within in zip(PAIRS, lines[::2], lines[1::2], strict=True):
        assert without == within, pair


def test_convolutions_of_a_gpu_are_exact_until_the_last_of_several_threads_has_ended() -> None:
    subprocess.run([sys.executable, __file__, "threads"], check=True)


def in_two_threads() -> None:
    convolutions, gpu = torch.backends.cudnn.conv, torch.device("cuda")
    assert convolutions.fp32_precision == "tf32"
    first, second = exact_convolutions(gpu), exact_convolutions(gpu)
    with ThreadPoolExecutor(1) as another:
        another.submit(first.__enter__).result()
        second.__enter__()
        another.submit(first.__exit__, None, None, None).result()
        assert convolutions.fp32_precision == "ieee"
        second.__exit__(None, None, None)
    assert convolutions.fp32_precision == "tf32"


def test_what_products_of_a_gpu_are_rounded_to_is_in_the_names_of_bags() -> None:
    gpu = torch.device("cuda")
    assert settings_of_products(gpu) == {}
    torch.set_float32_matmul_precision("high")
    try:
        assert settings_of_products(gpu) == {"products": "tf32"}
        assert settings_of_products(torch.device("cpu")) == {}
    finally:
        torch.set_float32_matmul_precision("highest")
    assert settings_of_products(gpu) == {}


@pytest.mark.parametrize(("switch", "split"), [("nothing", True), ("all exact", True), ("products rounded", False)])
def test_the_fused_search_takes_the_precision_of_products_however_it_is_told(
    switch: str, split: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    bags = torch.rand(2, 5, 4)
    products, before = torch.backends.cuda.matmul, torch.backends.cuda.matmul.fp32_precision
    SWITCHES[switch]()
    try:
        plan = make_plan(bags, bags, torch.float32, both_ways=False)
    finally:
        torch.backends.fp32_precision, products.fp32_precision = "none", before
    assert plan.split is split


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if sys.argv[1:]:
        in_two_threads()
        sys.exit()
    for both in PAIRS:
        in_a_child(*both, within=False)
        in_a_child(*both, within=True)
