"""`auto` is the device that is quickest for the work."""

import pytest
import torch

from ddpm_tutor import LeanUNet, SamplingOptions, choose_device, linear_schedule
from ddpm_tutor.science import devices
from ddpm_tutor.science import quickest_device as quickest
from ddpm_tutor.science.quickest_device import quickest_device, seconds_to_draw

SCHEDULE = linear_schedule()


@pytest.fixture
def with_gpu(monkeypatch):
    """A machine with a GPU that nothing has started yet; the meta device stands in for it."""
    for module in (devices, quickest):
        monkeypatch.setattr(module, "available_devices", lambda: ["meta", "cpu"])
        monkeypatch.setattr(module, "is_started", lambda: False)
    monkeypatch.setattr(devices, "why_unusable", lambda name: "")


class Network(torch.nn.Module):
    """A network that goes to the meta device and comes back."""

    def __init__(self):
        super().__init__()
        self.to("cpu")

    def to(self, device):
        self.weight = torch.nn.Parameter(torch.zeros(1, device=device))
        return self


def chosen(monkeypatch, on_cpu: float, on_gpu: float):
    tried = []

    def seconds(model, *work, **how):
        device = next(model.parameters()).device.type
        tried.append(device)
        return {"cpu": on_cpu, "meta": on_gpu}[device]

    monkeypatch.setattr(quickest, "seconds_to_draw", seconds)
    model = Network()
    choice = quickest_device(model, SCHEDULE, 1, SamplingOptions())
    assert next(model.parameters()).device == choice.device
    return choice, tried


def test_where_there_is_no_other_device_nothing_is_tried(monkeypatch):
    monkeypatch.setattr(quickest, "available_devices", lambda: ["cpu"])
    choice, tried = chosen(monkeypatch, 1.0, 1.0)
    assert choice.device.type == "cpu" and not tried and "no other" in choice.why


def test_short_work_does_not_wait_for_a_gpu(monkeypatch, with_gpu):
    choice, tried = chosen(monkeypatch, 2.9, 0.1)
    assert choice.device.type == "cpu" and tried == ["cpu"] and "2.9 s" in choice.why


def test_a_gpu_that_is_ready_is_tried_for_short_work_too(monkeypatch, with_gpu):
    monkeypatch.setattr(quickest, "is_started", lambda: True)
    choice, _ = chosen(monkeypatch, 2.9, 0.1)
    assert choice.device.type == "meta"


@pytest.mark.parametrize(("on_gpu", "device"), [(4.0, "meta"), (20.0, "cpu")])
def test_long_work_is_done_by_whichever_is_quicker(monkeypatch, with_gpu, on_gpu, device):
    choice, tried = chosen(monkeypatch, 10.0, on_gpu)
    assert choice.device.type == device and set(tried) == {"cpu", "meta"}
    assert "10.0 s" in choice.why and f"{on_gpu} s" in choice.why


def test_a_gpu_that_cannot_compute_is_passed_over(monkeypatch, with_gpu):
    monkeypatch.setattr(devices, "why_unusable", lambda name: "too old" if name == "meta" else "")
    devices.warn_once.cache_clear()
    with pytest.warns(devices.DeviceWarning, match="too old"):
        choice, _ = chosen(monkeypatch, 10.0, 1.0)
    assert choice.device.type == "cpu"


@pytest.mark.parametrize(("seconds", "device"), [(1.0, "cpu"), (60.0, "meta"), (None, "meta")])
def test_work_whose_length_is_known_is_weighed_without_trying(with_gpu, seconds, device):
    assert choose_device("auto", cpu_seconds=seconds).type == device


def test_the_estimate_grows_with_steps_and_images(in_float32):
    torch.manual_seed(0)
    model = LeanUNet(32)
    fifty = SamplingOptions(steps=50)
    few = min(seconds_to_draw(model, SCHEDULE, 1, fifty) for _ in range(3))
    assert seconds_to_draw(model, SCHEDULE, 1, SamplingOptions()) > 5 * few
    assert seconds_to_draw(model, SCHEDULE, 200, fifty) > 5 * few
