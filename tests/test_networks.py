"""The networks: size, cost, shapes, and what their output depends on."""

import copy
import math

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from ddpm_tutor.science.diffusion import q_sample
from ddpm_tutor.science.lean_unet import LeanUNet
from ddpm_tutor.science.likelihood_unet import LikelihoodUNet
from ddpm_tutor.science.noise_predictor import time_encoding
from ddpm_tutor.science.unet import UNet

NARROWEST = {UNet: 4, LeanUNet: 32, LikelihoodUNet: 32}


@pytest.fixture(params=[UNet, LeanUNet, LikelihoodUNet], ids=["unet", "lean", "likelihood"])
def kind(request):
    return request.param


def trained_a_little(model):
    """Some weights start at zero, so that a fresh network does not yet listen to t or the label."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.05 * torch.randn(weight.shape, generator=generator)
    return model


def small(kind, num_classes=10):
    torch.manual_seed(0)
    return trained_a_little(kind(NARROWEST[kind], num_classes))


def inputs(batch=3):
    x_t = torch.randn(batch, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    return x_t, torch.full((batch,), 500)


def flops(model):
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 1, 32, 32), torch.ones(1, dtype=torch.long))
    return counter.get_total_flops()


def parameters(model):
    return sum(weight.numel() for weight in model.parameters())


def apart(a, b):
    """Whether each image of a differs from its counterpart in b by more than rounding."""
    return bool(((a - b).abs().amax(dim=(1, 2, 3)) > 1e-4).all())


# Size and cost


def test_the_assignments_unet_has_12_9_million_parameters():
    assert parameters(UNet(64)) == 12_919_041


def test_labels_add_one_embedding_with_a_row_for_no_label():
    assert parameters(UNet(64, 10)) - parameters(UNet(64)) == 11 * 256


def test_the_assignments_unet_costs_2_95_gflop_an_image():
    assert flops(UNet(64)) / 1e9 == pytest.approx(2.95, abs=0.005)


def test_the_lean_network_is_small_and_cheap():
    model = LeanUNet(64, 10)
    assert parameters(model) < 4e6
    assert flops(model) <= 0.4e9


@pytest.mark.parametrize("width", [0, -4, 2, 6, 63])
def test_unet_refuses_widths_that_are_no_multiple_of_4(width):
    with pytest.raises(ValueError, match="multiple of 4"):
        UNet(width)


@pytest.mark.parametrize("width", [0, -32, 16, 48, 65])
def test_lean_network_refuses_widths_that_are_no_multiple_of_32(width):
    with pytest.raises(ValueError, match="multiple of 32"):
        LeanUNet(width)


# What goes in and what comes out


def test_a_fresh_lean_network_takes_x_t_for_noise_in_its_share(schedule):
    torch.manual_seed(0)
    x_t, _ = inputs()
    t = torch.tensor([1, 500, 1000])
    share = (1 - schedule.alpha_bar[t]).sqrt().float()[:, None, None, None]
    assert torch.allclose(LeanUNet(32)(x_t, t), share * x_t, atol=1e-6)
    assert share[-1] > 0.9999  # at t = T the noise is x_t


def test_a_lean_network_that_knows_v_knows_the_noise(schedule):
    x_0, eps = torch.rand(3, 1, 32, 32) * 2 - 1, inputs()[0]
    t = torch.tensor([1, 300, 1000])
    signal, noise = (
        v.sqrt().view(3, 1, 1, 1) for v in (schedule.alpha_bar[t], 1 - schedule.alpha_bar[t])
    )
    v = signal * eps - noise * x_0  # Salimans and Ho 2022

    class Knowing(LeanUNet):
        def layers(self, x_t, modulations):
            return v.float()

    x_t = q_sample(schedule, x_0, t, eps)
    assert torch.allclose(Knowing(32)(x_t, t), eps, atol=1e-4)


@pytest.mark.parametrize("num_classes", [None, 10])
@pytest.mark.parametrize("batch", [1, 3])
def test_output_has_the_shape_of_the_image(kind, num_classes, batch):
    x_t, t = inputs(batch)
    assert small(kind, num_classes)(x_t, t).shape == (batch, 1, 32, 32)


@torch.no_grad()
def test_no_label_means_the_null_label(kind):
    model, (x_t, t) = small(kind), inputs()
    assert torch.equal(model(x_t, t, None), model(x_t, t, torch.full((3,), 10)))


def test_a_network_without_labels_is_given_none(kind):
    model, (x_t, t) = small(kind, num_classes=None), inputs()
    with pytest.raises(ValueError, match="without labels"):
        model(x_t, t, torch.tensor([1, 2, 3]))
    with pytest.raises(ValueError, match="without labels"):
        model.label_or_null(None, t)


@torch.no_grad()
def test_every_label_gives_its_own_prediction(kind):
    model, (x_t, t) = small(kind), inputs(11)
    eps = model(x_t[:1].repeat(11, 1, 1, 1), t, torch.arange(11))
    for a in range(11):
        for b in range(a):
            assert apart(eps[a : a + 1], eps[b : b + 1])


@torch.no_grad()
@pytest.mark.parametrize("other", [1, 499, 1000])
def test_every_t_gives_its_own_prediction(kind, other):
    model, (x_t, t) = small(kind), inputs()
    assert apart(model(x_t, t), model(x_t, torch.full_like(t, other)))


@torch.no_grad()
def test_each_image_has_its_own_t_and_label(kind):
    model, (x_t, _) = small(kind).eval(), inputs()
    t, label = torch.tensor([1, 500, 1000]), torch.tensor([3, 7, 10])
    alone = [model(x_t[i : i + 1], t[i : i + 1], label[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(model(x_t, t, label), torch.cat(alone), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_every_pixel_of_the_output_depends_on_every_pixel_of_the_image(kind):
    # through self-attention: a corner of the image is felt in the opposite corner
    model, (x_t, t) = small(kind), inputs(1)
    changed = x_t.clone()
    changed[..., :4, :4] += 2
    assert ((model(x_t, t[:1]) - model(changed, t[:1]))[..., -4:, -4:].abs() > 1e-7).all()


def test_every_weight_is_used(kind):
    model, (x_t, t) = small(kind), inputs(2)
    model(x_t, t[:2], torch.tensor([3, 7])).square().sum().backward()
    unused = [k for k, w in model.named_parameters() if w.grad is None or not w.grad.any()]
    assert unused == []


def test_every_channel_of_every_convolution_is_used(kind):
    # the skips among them: they come in as the first channels of a convolution on the way up
    model, (x_t, t) = small(kind), inputs(2)
    model(x_t, t[:2]).square().sum().backward()
    for name, weight in model.named_parameters():
        if weight.ndim == 4:
            assert (weight.grad.abs().sum(dim=(0, 2, 3)) > 0).all(), name


def test_the_configuration_rebuilds_the_network(kind):
    model, (x_t, t) = small(kind), inputs()
    rebuilt = kind(model.width, model.num_classes)
    rebuilt.load_state_dict(model.state_dict())
    assert torch.equal(rebuilt(x_t, t), model(x_t, t))


def test_the_unet_adds_its_encoding_after_every_down_and_every_up():
    model, (x_t, t) = UNet(4), inputs(2)
    gave, took = {}, {}
    for name, layer in model.named_children():
        layer.register_forward_hook(lambda _, __, out, name=name: gave.update({name: out}))
        layer.register_forward_pre_hook(lambda _, ins, name=name: took.update({name: ins[0]}))
    model(x_t, t)
    steps = [("down_1", "down_2"), ("down_2", "attention_8"), ("down_3", "attention_4"),
             ("up_1", "attention_8_up"), ("up_2", "up_3"), ("up_3", "out")]  # fmt: skip
    for step, following in steps:
        encoding = time_encoding(t, gave[step].shape[1])[:, :, None, None]
        assert torch.equal(took[following], gave[step] + encoding)


def test_what_the_unet_adds_is_the_time_encoding_and_the_first_channels_of_the_label():
    t, label = torch.tensor([5, 900]), torch.tensor([3, 10])
    plain, model = UNet(4), UNet(4, 10)
    of_t, of_label = time_encoding(t, 8), model.label_embedding.weight[label, :8]
    assert torch.equal(plain.encoding(t, None, 8), of_t)
    assert torch.equal(model.encoding(t, label, 8), of_t + of_label)


# The time encoding


def test_time_encoding_is_all_sines_then_all_cosines_to_base_10_000():
    encoding = time_encoding(torch.tensor([1, 7, 1000]), 8)
    for row, t in zip(encoding.tolist(), (1, 7, 1000), strict=True):
        angles = [t / 10_000 ** (2 * i / 8) for i in range(4)]
        expected = [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
        assert row == pytest.approx(expected, abs=1e-4)


def test_time_encoding_is_float32_for_integer_t():
    encoding = time_encoding(torch.arange(1, 5), 64)
    assert encoding.dtype == torch.float32
    assert encoding.shape == (4, 64)


def test_time_encoding_tells_every_t_apart():
    encoding = time_encoding(torch.arange(1001), 64)
    distance = torch.cdist(encoding, encoding) + 10 * torch.eye(1001)
    assert distance.min() > 0.1


# A copy, as training makes one for the averaged weights


def test_a_copy_owns_all_its_parts(kind):
    model = small(kind)
    shared = set(map(id, model.modules())) & set(map(id, copy.deepcopy(model).modules()))
    assert shared == set()


def test_training_a_copy_leaves_the_original_alone(kind):
    model, (x_t, t) = small(kind), inputs(1)
    twin = copy.deepcopy(model)
    before = model(x_t, t).detach()
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1)
    twin(x_t, t).square().mean().backward()
    optimizer.step()
    assert torch.equal(model(x_t, t), before)
    assert apart(twin(x_t, t), before)
