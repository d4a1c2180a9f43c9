"""The network made ready for sampling predicts what the plain one does."""

import pytest
import torch

from ddpm_tutor.science import fast_sampling as fast
from ddpm_tutor.science.devices import has_bf16
from ddpm_tutor.science.fast_sampling import (
    MIN_AUTOCAST,
    PackedAttention,
    PackedConv2d,
    PackedLinear,
    SamplingNetwork,
    for_sampling,
)
from ddpm_tutor.science.lean_unet import LeanUNet
from ddpm_tutor.science.likelihood_unet import LikelihoodUNet
from ddpm_tutor.science.noise import normal, stream
from ddpm_tutor.science.sampling import SamplingOptions, draw, last
from ddpm_tutor.science.schedule import linear_schedule
from ddpm_tutor.science.unet import UNet
from ddpm_tutor.storage.checkpoints import load_checkpoint

NETWORKS = [(UNet, 8), (LeanUNet, 32), (LikelihoodUNet, 32)]


def trained(kind, width, num_classes):
    """A network none of whose layers is zero, as after training."""
    model = kind(width, num_classes)
    generator = stream(0, "weights")
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    return model.requires_grad_(False)


def pictures(batch):
    return normal((batch, 1, 32, 32), stream(0, "x_t"), "cpu")


@pytest.mark.parametrize(("kind", "width"), NETWORKS)
@pytest.mark.parametrize("batch", [1, 2, 17])
@pytest.mark.parametrize("labelled", [True, False])
def test_it_predicts_the_same_noise_at_every_step(kind, width, batch, labelled, in_float32):
    model = trained(kind, width, 10)
    times = list(range(1000, 0, -37))
    ready = for_sampling(model, times, batch)
    x_t = pictures(batch)
    label = torch.arange(batch) % 10 if labelled else None
    for now in times:
        t = torch.full((batch,), now)
        expected = model(x_t, t, label)
        torch.testing.assert_close(ready(x_t, t, label), expected, rtol=1e-4, atol=1e-5)


def test_it_follows_a_change_of_labels(in_float32):
    model = trained(LeanUNet, 32, 10)
    ready = for_sampling(model, [500, 250], 2)
    x_t, t = pictures(2), torch.tensor([500, 500])
    for label in (torch.tensor([1, 2]), torch.tensor([7, 2]), None, torch.tensor([1, 2])):
        torch.testing.assert_close(ready(x_t, t, label), model(x_t, t, label), rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(not has_bf16(torch.device("cpu")), reason="this CPU has no bfloat16 products")
@pytest.mark.parametrize(("kind", "width"), NETWORKS)
@pytest.mark.parametrize("batch", [1, MIN_AUTOCAST])
def test_where_bfloat16_is_fast_images_are_predicted_in_it(kind, width, batch):
    model = trained(kind, width, None)
    x_t, t = pictures(batch), torch.full((batch,), 300)
    ready = for_sampling(model, [300], batch)
    difference = (ready(x_t, t) - model(x_t, t)).abs().max()
    assert 1e-4 < difference < 0.1  # other arithmetic, near the same result


@pytest.mark.skipif(not has_bf16(torch.device("cpu")), reason="this CPU has no bfloat16 products")
@pytest.mark.parametrize(("batch", "guidance"), [(1, 1.0), (1, 1.5), (MIN_AUTOCAST, 1.0)])
def test_digits_drawn_in_bfloat16_look_the_same(monkeypatch, batch, guidance):
    model = load_checkpoint().model
    label = torch.arange(batch) % 10

    def drawn():
        how = SamplingOptions(guidance=guidance, steps=20)
        return last(draw(model, linear_schedule(), label, how, seed=0, indices=range(batch)))

    rounded = drawn()
    monkeypatch.setattr(fast, "has_bf16", lambda device: False)
    # mean over pixels, of the 2 between black and white
    assert (rounded - drawn()).abs().mean() < 0.02


def test_drawing_with_it_and_without_gives_the_same_digit(monkeypatch, in_float32):
    model, label = load_checkpoint().model, torch.tensor([7])

    def drawn():
        chain = draw(
            model,
            linear_schedule(),
            label,
            SamplingOptions(steps=25, guidance=1.5),
            seed=0,
            indices=[0],
        )
        return last(chain)

    ready = drawn()
    monkeypatch.setattr("ddpm_tutor.science.sampling.for_sampling", lambda model, *_: model)
    torch.testing.assert_close(ready, drawn(), rtol=0, atol=1e-3)


@pytest.mark.skipif(not fast.can_pack(), reason="this torch has no oneDNN layers to pack")
@pytest.mark.parametrize(("kind", "width"), NETWORKS)
def test_every_product_is_packed_and_the_network_itself_left_alone(kind, width):
    model = kind(width)
    before = {name: type(module) for name, module in model.named_modules()}
    ready = for_sampling(model, [1], 1)
    plain = torch.nn.Conv2d | torch.nn.Linear | torch.nn.MultiheadAttention
    assert any(isinstance(m, PackedConv2d) for m in ready.modules())
    assert not any(isinstance(m, plain) for m in ready.modules())
    assert {name: type(module) for name, module in model.named_modules()} == before
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(("kind", "width"), NETWORKS)
def test_where_packing_is_not_to_be_had_the_plain_layers_do(kind, width, monkeypatch):
    monkeypatch.setattr(fast, "can_pack", lambda: False)
    model = trained(kind, width, None)
    x_t, t = pictures(1), torch.tensor([9])
    ready = for_sampling(model, [9], 1)
    packed = PackedConv2d | PackedLinear | PackedAttention
    assert not any(isinstance(m, packed) for m in ready.modules())
    torch.testing.assert_close(ready(x_t, t), model(x_t, t), rtol=1e-4, atol=1e-5)


def test_training_goes_on_without_changing_it():
    model = trained(LeanUNet, 32, None)
    x_t, t = pictures(1), torch.tensor([9])
    ready = for_sampling(model, [9], 1)
    before = ready(x_t, t)
    for parameter in model.parameters():
        parameter.data += 1
    assert torch.equal(ready(x_t, t), before)


def test_any_other_network_is_used_as_it_is():
    other = torch.nn.Conv2d(1, 1, 1)
    assert for_sampling(other, [1], 1) is other
    assert isinstance(for_sampling(UNet(4), [1], 1), SamplingNetwork)
