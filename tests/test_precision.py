import pytest
import torch

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
