import subprocess
from types import SimpleNamespace

import pytest
import torch

from anomaly_clustering.search import precision
from anomaly_clustering.search.precision import resolve

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("processor", "fastest"),
    [
        ({"amx_bf16": True, "avx512_bf16": True, "avx512_vnni": True, "cpu_name": "Intel Xeon"}, torch.bfloat16),
        ({"amx_bf16": False, "avx512_bf16": True, "avx512_vnni": True, "cpu_name": "Intel Xeon"}, torch.int8),
        ({"amx_bf16": False, "avx512_bf16": True, "cpu_name": "Intel Xeon"}, torch.float32),
        ({"avx_vnni": True, "cpu_name": "Intel Core"}, torch.int8),
        ({"avx512_vnni": False, "avx512_bf16": False, "cpu_name": "Intel Xeon"}, torch.float32),
        ({"avx512_bf16": True, "avx512_vnni": True, "cpu_name": "AMD EPYC"}, torch.int8),
        ({"avx512_bf16": False, "cpu_name": "AMD EPYC"}, torch.float32),
        ({"architecture": "aarch64"}, torch.float32),
    ],
)
def test_auto_is_what_is_fastest(
    processor: dict[str, bool | str], fastest: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: processor, raising=False)
    assert resolve("auto", CPU) == fastest


def test_integers_are_refused_where_their_products_are_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"cpu_name": "Intel Core"}, raising=False)
    with pytest.raises(ValueError, match="which this processor has not; choose 'auto'"):
        resolve("int8", CPU)
    with pytest.raises(ValueError, match="which a cuda device has not"):
        resolve("int8", torch.device("cuda"))


def test_where_triton_has_no_compiler_a_gpu_is_searched_in_the_plain_way_and_a_warning_says_so_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runtime = pytest.importorskip("triton.runtime")

    class Driver:
        def get_current_target(self) -> None:
            raise subprocess.CalledProcessError(1, ["gcc", "main.c"])

    monkeypatch.setattr(runtime, "driver", SimpleNamespace(active=Driver()))
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    precision._triton_compiles.cache_clear()
    try:
        with pytest.warns(UserWarning, match="Triton cannot compile here .*gcc.*: install a C compiler") as warned:
            found = [resolve("auto", torch.device("cuda")) for _ in range(2)]
        with pytest.raises(
            ValueError, match=r"with a C compiler .*, and this cuda device has not all of these; choose"
        ):
            resolve("fp16", torch.device("cuda"))
    finally:
        precision._triton_compiles.cache_clear()
    assert found == [torch.bfloat16] * 2
    assert len(warned) == 1
