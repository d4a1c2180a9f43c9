"""Algorithm 1: training the noise predictor."""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ddpm_tutor.errors import TutorError, is_out_of_memory
from ddpm_tutor.science.bound import learned_variance, reverse_variance, term_nats
from ddpm_tutor.science.checks import (
    check_fits,
    check_inputs,
    check_kind,
    check_labels,
    check_network,
    check_network_images,
    check_number,
    check_one_of,
    check_pixels,
    check_schedule,
    check_whole,
    check_whole_tensor,
    device_of,
    length,
    own_steps,
)
from ddpm_tutor.science.cuda_graph import Function, replayed
from ddpm_tutor.science.devices import overlook_broken_gpu
from ddpm_tutor.science.diffusion import check_model, losses_simple, q_sample, v_weight
from ddpm_tutor.science.fast_sampling import is_plain
from ddpm_tutor.science.memory import in_parts_that_fit
from ddpm_tutor.science.muon import Muon
from ddpm_tutor.science.noise import normal, stream
from ddpm_tutor.science.noise_predictor import NoisePredictor
from ddpm_tutor.science.pixels import to_unit_range
from ddpm_tutor.science.prefetch import prefetch
from ddpm_tutor.science.schedule import Schedule
from ddpm_tutor.science.threads import quickest_threads

MAX_LOSS = 10.0  # beyond it a training has diverged: always predicting zero has a loss of 1
# of weighting "logit-normal": the distribution of logit(t / T), and the share of t that is uniform
LOGIT_MEAN, LOGIT_STD, UNIFORM_SHARE = -0.8, 0.8, 0.2

Weighting = Literal["simple", "logit-normal", "vlb"]
WEIGHTINGS: tuple[Weighting, ...] = get_args(Weighting)


class Diverged(TutorError):
    """The loss or its gradient is no longer a finite number, or far too large."""

    def __init__(self, step: int, what: str, value: float) -> None:
        super().__init__(f"The training has diverged: at step {step:,} the {what} is {value:.3g}.")


@dataclass(frozen=True)
class TrainingConfig:
    """How to train. The defaults are the assignment's, with averaged weights and a warm-up.

    Raises:
        ValueError: a word is unknown, or a number is out of its range.
    """

    epochs: int = 10
    batch_size: int = 128
    lr: float = 1e-4
    # "cosine" lets a large rate settle to zero along a half cosine
    lr_schedule: Literal["constant", "cosine"] = "constant"
    # Adam's first steps are large and rest on few gradients: grow into them
    warmup_steps: int = 200
    # one samples from a moving average of the weights (App. B: 0.9999, over 800,000 steps)
    ema_decay: float = 0.999
    # as in the authors' code; a rare bad batch then moves the weights no further than others do
    grad_clip: float = 1.0
    # "muon" learns in fewer steps, each a little slower (see `Muon`)
    optimizer: Literal["adam", "muon"] = "adam"
    # decoupled from the gradient, as in AdamW
    weight_decay: float = 0.0
    # the share of labels replaced by the null label, so that the weights also draw without one
    label_dropout: float = 0.1
    # "logit-normal" draws those t at which a digit takes shape more often, and weighs losses as
    # errors in v (see `logit_normal_probabilities` and `v_weight`); "vlb" trains the bound (Eq. 5)
    # and draws small t more often (see `vlb_probabilities`)
    weighting: Weighting = "simple"
    seed: int = 0
    # matrix products in bfloat16, where that is fast; weights and their averages stay float32
    bf16: bool = False

    def __post_init__(self) -> None:
        check_one_of(self.lr_schedule, ("constant", "cosine"), "lr_schedule")
        check_one_of(self.optimizer, ("adam", "muon"), "optimizer")
        check_one_of(self.weighting, WEIGHTINGS, "weighting")
        for name, least in (("epochs", 0), ("batch_size", 1), ("warmup_steps", 0), ("seed", 0)):
            check_whole(getattr(self, name), name, least)
        for name in ("label_dropout", "ema_decay"):
            check_number(getattr(self, name), name, 0, 1)
        for name in ("lr", "grad_clip"):
            check_number(getattr(self, name), name, 0, above=True)
        check_number(self.weight_decay, "weight_decay", 0)
        if self.bf16 not in (True, False):
            raise ValueError(f"bf16 is True or False, not {self.bf16!r}")


DEVICE_OPTIONS = ("fused", "foreach", "capturable")  # of an optimizer: how it steps, not where to
PLAIN = TrainingConfig(grad_clip=math.inf)


@dataclass
class TrainingState:
    """All that changes while training: what a resumed run needs to go on."""

    model: NoisePredictor
    ema: NoisePredictor  # the averaged weights
    optimizer: torch.optim.Optimizer
    step: int = 0  # optimizer steps taken

    @classmethod
    def start(cls, model: NoisePredictor, config: TrainingConfig) -> "TrainingState":
        """A state at step 0 for `model`, which is trained in place."""
        check_network(model)
        check_kind(config, TrainingConfig, "config", "a TrainingConfig")
        if config.optimizer == "adam":
            overlook_broken_gpu()
        ema = copy.deepcopy(model).requires_grad_(False)
        optimizer: torch.optim.Optimizer
        if config.optimizer == "muon":
            dtype = torch.bfloat16 if config.bf16 else torch.float32
            optimizer = Muon(model.parameters(), config.lr, config.weight_decay, dtype)
        else:
            optimizer = torch.optim.AdamW(
                model.parameters(),
                lr=config.lr,
                weight_decay=config.weight_decay,
                fused=next(model.parameters()).is_cuda or None,  # one operation for all weights
            )
        return cls(model, ema, optimizer)

    def load_optimizer(self, saved: dict[str, Any]) -> None:
        """Goes on from an optimizer's saved state, which may come from another device."""
        now = self.optimizer.state_dict()["param_groups"]
        groups = [
            {**then, **{k: mine[k] for k in DEVICE_OPTIONS if k in mine}}
            for then, mine in zip(saved["param_groups"], now, strict=True)
        ]
        self.optimizer.load_state_dict({**saved, "param_groups": groups})


@dataclass(frozen=True)
class StepReport:
    """What one training step did."""

    step: int  # from 1
    epoch: int  # from 1
    loss: float  # an estimate of L_simple from this batch, or from this process's share of it
    grad_norm: float  # before clipping


def steps_per_epoch(images: int, config: TrainingConfig) -> int:
    """Full batches in one pass over that many images; a smaller rest waits for the next shuffle."""
    return max(1, images // config.batch_size)


def lr_factor(step: int, total_steps: int, config: TrainingConfig) -> float:
    """The share of `config.lr` used in step number `step`, from 0.

    The warm-up is never longer than a tenth of all steps.
    """
    warmup = min(config.warmup_steps, total_steps // 10)
    if step < warmup:
        return (step + 1) / warmup
    if config.lr_schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total_steps - warmup)))


def logit_normal_probabilities(T: int, device: torch.device | str = "cpu") -> Tensor:
    """How likely each t is with the weighting "logit-normal", (T + 1,).

    At the largest t there is nothing but noise, at the smallest the digit is settled. Between them,
    where it takes shape, errors show most. So t / T is drawn from a logit-normal distribution, as
    Esser et al. 2024 draw the time of their rectified flows; but a fifth of all draws is uniform.
    Together with `v_weight` the losses near t = 400 of 1000 count eight times as much as in
    Eq. 14, those at t = 1 a fifth.
    """
    share = (torch.arange(1, T + 1, device=device) - 0.5) / T
    z = (share.logit() - LOGIT_MEAN) / LOGIT_STD
    density = torch.exp(-0.5 * z**2) / (share * (1 - share))
    return F.pad((1 - UNIFORM_SHARE) * density / density.sum() + UNIFORM_SHARE / T, (1, 0))


def vlb_probabilities(T: int, device: torch.device | str = "cpu") -> Tensor:
    """How likely each t is with the weighting "vlb", in proportion to 1/t, (T + 1,).

    The terms of the bound fall with t about as 1/t does: drawn uniformly, one t in a thousand would
    make up half of the sum. From a single picture and t the bound of the shipped weights, 1.9
    bits/dim, is then known to 34; drawn so, to 2.4. Nichol and Dhariwal 2021 (Section 3.3) draw t
    by the losses seen so far. This is the same in every run, also in one that is resumed.
    """
    weights = 1 / torch.arange(1, T + 1, device=device)
    return F.pad(weights / weights.sum(), (1, 0))


def t_probabilities(
    weighting: Weighting, T: int, device: torch.device | str = "cpu"
) -> Tensor | None:
    """How likely each t is in a training, (T + 1,); None: all alike.

    Raises:
        ValueError: `weighting` is unknown.
    """
    if weighting == "simple":
        return None
    if weighting == "logit-normal":
        return logit_normal_probabilities(T, device)
    if weighting == "vlb":
        return vlb_probabilities(T, device)
    raise ValueError(f'weighting is "simple", "logit-normal" or "vlb", not {weighting!r}')


def drop_labels(label: Tensor, share: float, null_label: int, generator: torch.Generator) -> Tensor:
    """Replaces a random share of the labels (B,) by the null label (Ho and Salimans 2022).

    Args:
        label: (B,) classes.
        share: of the labels, from 0 to 1.
        null_label: what takes their place, the number of classes.
        generator: a CPU generator, such as `stream` gives.

    Raises:
        TypeError: `label` is no tensor, or `generator` no generator. ValueError: a label or the
            share is out of range.

    Example:
        >>> drop_labels(label, 1.0, null_label=10, generator=generator)
        tensor([10, 10])
    """
    check_kind(label, Tensor, "label", "a tensor (B,) of whole numbers")
    check_whole_tensor(label, length(label), "label")
    check_number(share, "share", 0, 1)
    if generator is not None:
        check_kind(generator, torch.Generator, "generator", "a generator, as of stream")
    dropped = torch.rand(label.shape, generator=generator) < share
    return torch.where(dropped, null_label, label)


def update_ema(ema: nn.Module, model: nn.Module, step: int, decay: float) -> None:
    """ema <- decay * ema + (1 - decay) * model, with a shorter memory in the first steps."""
    average = get_ema_multi_avg_fn(min(decay, (1 + step) / (10 + step)))  # all weights at once
    average([*ema.parameters()], [*model.parameters()], None)


def random_batch(
    images: Tensor, T: int, generator: torch.Generator, t_probabilities: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Lines 2 to 4 of Algorithm 1 for pictures of the data.

    Args:
        images: (B, 1, 32, 32) uint8.
        T: steps of the schedule.
        t_probabilities: (T + 1,), where t is not to be uniform.

    Returns:
        x_0: the images in [-1, 1]; t: (B,) in 1..T; eps: noise from N(0, I), shaped like x_0.
    """
    if t_probabilities is None:
        t = torch.randint(1, T + 1, (len(images),), generator=generator)
    else:
        t = torch.multinomial(t_probabilities, len(images), replacement=True, generator=generator)
    eps = normal(images.shape, generator, "cpu")
    return to_unit_range(images), t, eps


def noisy_batch(
    schedule: Schedule, images: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """What the network is shown of a random batch, and what it should say (Eq. 4).

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        images: (B, 1, 32, 32) uint8.
        generator: a CPU generator, such as `stream` gives.

    Returns:
        x_t: (B, 1, 32, 32); t: (B,); eps: like x_t.

    Raises:
        TypeError: something is of another kind. ValueError: the images are no pixels 0..255.

    Example:
        >>> x_t, t, eps = noisy_batch(schedule, images, generator)
        >>> x_t.shape, t.shape
        (torch.Size([2, 1, 32, 32]), torch.Size([2]))
    """
    check_schedule(schedule)
    check_pixels(images, digits=False)
    check_kind(generator, torch.Generator, "generator", "a generator, as of stream")
    x_0, t, eps = random_batch(images, schedule.T, generator)
    return q_sample(schedule, x_0, t, eps), t, eps


@own_steps()
def gradient(
    model: nn.Module,
    schedule: Schedule,
    config: TrainingConfig,
    x_0: Tensor,
    t: Tensor,
    eps: Tensor,
    label: Tensor | None = None,
    *,
    call: nn.Module | None = None,
) -> tuple[Tensor, Tensor]:
    """Line 5 of Algorithm 1: the gradient of || eps - eps_theta ||^2, clipped, left in `model`.

    Args:
        call: the module to call instead of `model`: the same weights, wrapped for several
            processes.

    Returns:
        the loss, an estimate of L_simple (Eq. 14), and the gradient's norm before it was clipped,
        a tensor of one number each.
    """
    model.zero_grad()
    with torch.autocast(x_0.device.type, dtype=torch.bfloat16, enabled=config.bf16):
        if config.weighting == "vlb":
            assert isinstance(model, NoisePredictor)
            losses, terms = losses_of_both_kinds(model, schedule, x_0, t, eps, label, call)
        else:
            losses = terms = losses_simple(call or model, schedule, x_0, t, eps, label)  # (B,)
    loss = objective = losses.mean()
    probabilities = t_probabilities(config.weighting, schedule.T, t.device)
    if probabilities is not None:
        drawn_for = schedule.T * probabilities[t]  # uniform t
        loss = (losses / drawn_for).mean()  # as they give it on average
        if config.weighting == "vlb":
            objective = schedule.T * (terms / drawn_for).mean()  # the bound: the sum over t
        else:
            objective = (v_weight(schedule, t) * losses).mean()
    objective.backward()
    return loss.detach(), nn.utils.clip_grad_norm_(model.parameters(), config.grad_clip)


def losses_of_both_kinds(
    model: NoisePredictor,
    schedule: Schedule,
    x_0: Tensor,
    t: Tensor,
    eps: Tensor,
    label: Tensor | None,
    call: nn.Module | None,
) -> tuple[Tensor, Tensor]:
    """`losses_simple` and `losses_vlb`, (B,) each, from one prediction.

    sigma_t^2 is what the network has learned, or beta-tilde_t where it has learned none.
    """
    x_t = q_sample(schedule, x_0, t, eps)
    eps_theta, share = model.eps_and_share(x_t, t, label, call)
    eps_theta = eps_theta.to(eps.dtype)
    variance = (
        reverse_variance(schedule, t)
        if share is None
        else learned_variance(schedule, t, share.to(eps.dtype))
    )
    terms = term_nats(schedule, x_0, x_t, t, eps_theta, variance)
    return (eps_theta - eps).square().mean(dim=(1, 2, 3)), terms.mean(dim=(1, 2, 3))


def training_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: Schedule,
    x_0: Tensor,
    t: Tensor,
    eps: Tensor,
) -> Tensor:
    """One plain step of Algorithm 1, line 5: no labels, no clipping.

    Args:
        model: the noise predictor, trained in place.
        optimizer: of its parameters.
        schedule: the noise schedule; its fields are (T + 1,).
        x_0: (B, 1, 32, 32) images in [-1, 1].
        t: (B,) whole numbers in 1..T.
        eps: noise from N(0, I), shaped like the images.

    Returns:
        the loss before the step (Eq. 14), a tensor of one number.

    Raises:
        TypeError: the model is no network, or the optimizer none. ValueError: the images or t
            do not fit.

    Example:
        >>> optimizer = torch.optim.Adam(model.parameters(), lr=0.0)
        >>> training_step(model, optimizer, schedule, x_0, t, eps).shape
        torch.Size([])
    """
    check_network(model)
    check_kind(optimizer, torch.optim.Optimizer, "optimizer", "an optimizer of torch.optim")
    check_model(model, schedule)
    check_inputs(schedule, t, x_0=x_0, eps=eps)
    loss, _ = gradient(model, schedule, PLAIN, x_0, t, eps)
    optimizer.step()
    return loss


def batches(
    images: Tensor,
    labels: Tensor | None,
    T: int,
    config: TrainingConfig,
    null_label: int | None,
    steps: range,
    *,
    random_batch: Callable[..., tuple[Tensor, Tensor, Tensor]] = random_batch,
    drop_labels: Callable[..., Tensor] = drop_labels,
) -> Iterator[list[Tensor]]:
    """The batches of the training steps numbered `steps`, from 0: x_0, t, eps, and the labels.

    Which images, t, noise and dropped labels step k sees depends on the seed and k alone.

    Args:
        images: (N, 1, 32, 32) uint8; labels: (N,), or None to train without labels.
        T: steps of the schedule.
        null_label: what a dropped label becomes; None for a network that takes no labels.
        random_batch, drop_labels: what draws in place of the functions of these names.
    """
    epoch_steps = steps_per_epoch(len(images), config)
    probabilities = t_probabilities(config.weighting, T)
    order, order_epoch = torch.empty(0), -1
    for step in steps:
        epoch, position = divmod(step, epoch_steps)
        if epoch != order_epoch:
            order = torch.randperm(len(images), generator=stream(config.seed, "order", epoch))
            order_epoch = epoch
        chosen = order[position * config.batch_size :][: config.batch_size]
        generator = stream(config.seed, "training", step)
        batch = [*random_batch(images[chosen], T, generator, probabilities)]
        if labels is not None and null_label is not None:
            batch.append(drop_labels(labels[chosen], config.label_dropout, null_label, generator))
        yield batch


def on_device(
    batches: Iterator[list[Tensor]], device: torch.device, rank: int, world_size: int
) -> Iterator[list[Tensor]]:
    """The share of process number `rank` of each batch, on `device`.

    While a GPU computes, the batches of the next steps are made.
    """
    shares: Iterator[list[Tensor]] = ([v[rank::world_size] for v in batch] for batch in batches)
    if device.type == "cuda":
        shares = prefetch([v.pin_memory() for v in share] for share in shares)
    for share in shares:
        yield [v.to(device, non_blocking=True) for v in share]


def train(
    state: TrainingState,
    schedule: Schedule,
    images: Tensor,
    labels: Tensor | None,
    config: TrainingConfig,
    *,
    call: nn.Module | None = None,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[StepReport]:
    """Algorithm 1 as a generator: trains `state` in place and yields after each step.

    A run that goes on from a saved state sees what an uninterrupted one does; see `batches`.

    Args:
        state: goes on from `state.step`; a fresh one from `TrainingState.start`.
        schedule: the noise schedule; its fields are (T + 1,).
        images: (N, 1, 32, 32) uint8; labels: (N,), or None to train without labels.
        config: how to train.
        call: the module to call instead of `state.model`: the same weights, wrapped for several
            processes. Each of them then takes the share number `rank` of every batch.
        rank: the number of this process, from 0.
        world_size: how many processes train together.

    Raises:
        ValueError: images, labels and schedule are not what the network takes, or the batches
            cannot be shared equally by the processes.
        Diverged: the loss of a step is not finite, or over `MAX_LOSS`, or its gradient is not
            finite. The weights are then those of the step before.
        TypeError: `state` or `config` is of another kind.

    Example:
        >>> state = TrainingState.start(UNet(4, num_classes=10), config)
        >>> [report.step for report in train(state, schedule, images, label, config)]
        [1]
    """
    check_kind(state, TrainingState, "state", "a TrainingState, as of TrainingState.start")
    check_kind(config, TrainingConfig, "config", "a TrainingConfig")
    check_fits(state.model, schedule)
    check_network_images(state.model, images)
    check_labels(labels, len(images), state.model.num_classes, "labels")
    if config.batch_size % world_size:
        raise ValueError(f"{world_size} processes cannot share batches of {config.batch_size}")
    model, device = state.model, device_of(state.model)
    epoch_steps = steps_per_epoch(len(images), config)
    total_steps = epoch_steps * config.epochs
    steps = range(state.step, total_steps)
    drawn = batches(images, labels, schedule.T, config, model.num_classes, steps)
    line_5: Function = partial(gradient, model, schedule.to(device), config, call=call)
    if call is None and is_plain(model):
        line_5 = replayed(line_5)
    if device.type == "cpu" and world_size == 1:
        line_5 = quickest_threads(line_5)
    for batch in on_device(drawn, device, rank, world_size):  # lines 2 to 4
        loss, grad_norm = torch.stack(line_5(*batch)).tolist()
        check_finite(state.step + 1, loss, grad_norm)
        for group in state.optimizer.param_groups:
            group["lr"] = config.lr * lr_factor(state.step, total_steps, config)
        state.optimizer.step()
        state.step += 1
        update_ema(state.ema, model, state.step, config.ema_decay)
        yield StepReport(state.step, (state.step - 1) // epoch_steps + 1, loss, grad_norm)


def check_finite(step: int, loss: float, grad_norm: float) -> None:
    """Stops a training that is lost, before the weights take part in it.

    Raises:
        Diverged: the loss is not finite, or over `MAX_LOSS`, or the gradient is not finite.
    """
    if not loss <= MAX_LOSS:  # NaN compares to nothing
        raise Diverged(step, "loss", loss)
    if not math.isfinite(grad_norm):
        raise Diverged(step, "gradient's norm", grad_norm)


def batch_that_fits(
    model: NoisePredictor, schedule: Schedule, config: TrainingConfig, world_size: int = 1
) -> int:
    """The largest of half, a quarter, ... of `config.batch_size` for which a step finds memory.

    Each of `world_size` processes takes its share. 0 where not even one image a process does.
    """
    device = device_of(model)
    schedule = schedule.to(device)

    def try_a_step(part: range) -> Iterator[int]:
        x_0 = torch.zeros(len(part), 1, 32, 32, device=device)
        t = torch.ones(len(part), dtype=torch.long, device=device)
        gradient(model, schedule, config, x_0, t, x_0)
        yield len(part)

    half = config.batch_size // 2 // world_size
    try:
        return world_size * next(in_parts_that_fit(try_a_step, range(half), half), 0)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return 0
    finally:
        model.zero_grad()
