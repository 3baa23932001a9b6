"""training/fitting/devices.py, on a machine without a GPU or as if it were one."""

import pytest
import torch

from training.config import Hardware
from training.errors import InvalidOption
from training.fitting import devices


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_a_cpu_computes_in_fp32_and_prepares_images_itself() -> None:
    """Unless it is asked for bfloat16, or for processes that prepare them."""
    assert devices.arithmetic(Hardware(), "auto") == "32-true"
    assert devices.arithmetic(Hardware(), "bf16") == "bf16-mixed"
    assert devices.workers(Hardware()) == 0
    assert devices.workers(Hardware(workers=3)) == 3


@pytest.mark.parametrize(("bf16", "name"), [(True, "bf16-mixed"), (False, "16-mixed")])
def test_a_gpu_computes_in_mixed_precision(monkeypatch: pytest.MonkeyPatch, bf16: bool, name: str) -> None:
    """In bfloat16 where it has it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: bf16)

    assert devices.arithmetic(Hardware(), "auto") == name
    assert devices.arithmetic(Hardware(), "fp32") == "32-true"
    assert devices.arithmetic(Hardware(accelerator="cpu"), "auto") == "32-true"


def test_a_gpu_that_is_not_there_is_refused() -> None:
    """Not replaced in silence."""
    with pytest.raises(InvalidOption, match="accelerator gpu: torch finds no CUDA device here"):
        devices.on_gpu(Hardware(accelerator="gpu"))
    with pytest.raises(InvalidOption, match="precision fp16: needs a GPU"):
        devices.arithmetic(Hardware(), "fp16")


@pytest.mark.parametrize(("text", "value"), [("1", 1), ("4", 4), ("auto", "auto")])
def test_devices_are_a_number_or_auto(text: str, value: int | str) -> None:
    """As Lightning takes them."""
    assert devices.devices(Hardware(devices=text)) == value


@pytest.mark.parametrize("text", ["0", "-1", "two", ""])
def test_other_devices_are_refused(text: str) -> None:
    """With what was given."""
    with pytest.raises(InvalidOption, match=f"devices '{text}': a number from 1, or auto"):
        devices.devices(Hardware(devices=text))


def test_more_gpus_than_there_are_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the number that there are."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    with pytest.raises(InvalidOption, match="devices 4: there are 2 GPUs here"):
        devices.devices(Hardware(devices="4"))


def test_the_environment_says_with_what_and_where() -> None:
    """Libraries, processes, precision; no path of this machine."""
    environment = devices.environment(2, "32-true")

    assert (environment["processes"], environment["precision"]) == (2, "32-true")
    assert environment["libraries"]["torch"] == torch.__version__
    assert environment["cpu_cores"] >= 1
