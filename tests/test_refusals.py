"""The library refuses nonsense: in one line, that says what is wanted."""

import ast
import copy
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import ddpm_tutor
from ddpm_tutor.errors import TutorError


@cache
def names() -> dict[str, Any]:
    """What the calls below are made of: small, and right each by itself."""
    from ddpm_tutor.api import (
        ExactNoisePredictor,
        LeanUNet,
        LikelihoodUNet,
        Predictor,
        SamplingOptions,
        TrainingConfig,
        TrainingState,
        UNet,
        cosine_schedule,
        linear_schedule,
        load_classifier,
        load_real_digits,
        normal,
        stream,
    )

    generator = stream(0, "refusals")
    schedule, network = linear_schedule(), UNet(4, num_classes=10)
    pixels = (torch.rand(4, 1, 32, 32, generator=generator) * 255).to(torch.uint8)
    x = pixels.float() / 127.5 - 1
    config = TrainingConfig(epochs=1, batch_size=4)
    known: dict[str, Any] = {
        "generator": generator,
        "schedule": schedule,
        "cosine": cosine_schedule(),
        "long": linear_schedule(2000, 5e-5, 0.01),
        "network": network,
        "plain": UNet(4),
        "lean": LeanUNet(32),
        "likelihood": LikelihoodUNet(32),
        "predictor": Predictor("x_0", schedule),
        "exact": ExactNoisePredictor(schedule, x),
        "module": nn.Linear(1, 1),
        "strong": SamplingOptions(guidance=3.0, steps=2),
        "pixels": pixels,
        "small": pixels[:, 0, 2:30, 2:30],
        "x": x,
        "grey": pixels.float(),
        "large": torch.zeros(4, 1, 64, 64),
        "eps": normal(x.shape, generator, "cpu"),
        "nan": torch.full_like(x, float("nan")),
        "meta": x.to("meta"),
        "t": torch.tensor([2, 250, 500, 1000]),
        "tau": torch.tensor([0.0, 0.2, 0.5, 1.0]),
        "label": torch.tensor([0, 1, 2, 9]),
        "known": torch.ones(4, 1, 32, 32, dtype=torch.bool),
        "variance": torch.full((4, 1, 1, 1), 0.01),
        "config": config,
        "state": TrainingState.start(copy.deepcopy(network), config),
        "unlabelled": TrainingState.start(UNet(4), config),
        "optimizer": torch.optim.SGD(network.parameters(), 0.1),
        "reader": load_classifier().model,
        "real": load_real_digits(),
        "line": lambda x_tau, tau: x_tau,
        "noise": lambda x_t, t, label=None: x_t,
        "T": 1000,
        "torch": torch,
        "Path": Path,
    }
    from ddpm_tutor import api

    return vars(api) | known


# a call, and a word of what it is told; the error is a ValueError, or else is named
T_, U_ = TypeError, TutorError
CASES: list[tuple[Any, ...]] = [
    # pictures that were not scaled, or twice
    ("q_sample(schedule, pixels, t, eps)", "to_unit_range"),
    ("q_step(schedule, pixels, t, eps)", "to_unit_range"),
    ("q_jump(schedule, pixels, t - 1, t, eps)", "to_unit_range"),
    ("q_posterior(schedule, pixels, x, t)", "to_unit_range"),
    ("q_posterior(schedule, x, pixels, t)", "to_unit_range"),
    ("predict_x_0(schedule, pixels, t, eps)", "to_unit_range"),
    ("predict_eps(schedule, x, t, pixels)", "to_unit_range"),
    ("p_mean(schedule, pixels, t, eps)", "to_unit_range"),
    ("p_step(schedule, pixels, t, eps, eps)", "to_unit_range"),
    ("ddim_step(schedule, pixels, t, t - 1, eps)", "to_unit_range"),
    ("loss_simple(network, schedule, pixels, t, eps)", "to_unit_range"),
    ("loss_vlb(network, schedule, pixels, t, eps)", "to_unit_range"),
    ("losses_vlb(network, schedule, pixels, t, eps)", "to_unit_range"),
    ("training_step(network, optimizer, schedule, pixels, t, eps)", "to_unit_range"),
    ("interpolate_at(schedule, pixels, x, t, tau, eps)", "to_unit_range"),
    ("keep_known(schedule, x, t, pixels, known, eps)", "to_unit_range"),
    ("prior_nats(schedule, pixels)", "to_unit_range"),
    ("log_decoder(pixels, x, variance)", "to_unit_range"),
    ("decoder_nats(schedule, pixels, x, eps, variance)", "to_unit_range"),
    ("step_nats(schedule, pixels, x, t, eps, variance)", "to_unit_range"),
    ("term_nats(schedule, pixels, x, t, eps, variance)", "to_unit_range"),
    ("distance_of_means(schedule, pixels, x, t, eps, variance)", "to_unit_range"),
    ("v_from(schedule, pixels, t, eps)", "to_unit_range"),
    ("x_0_from_v(schedule, pixels, t, eps)", "to_unit_range"),
    ("eps_from_v(schedule, pixels, t, eps)", "to_unit_range"),
    ("converted(schedule, pixels, t, eps, 'eps', 'v')", "to_unit_range"),
    ("straight_path(pixels, tau, eps)", "to_unit_range"),
    ("flow_target(pixels, eps)", "to_unit_range"),
    ("flow_loss(line, pixels, tau, eps)", "to_unit_range"),
    ("exact_eps(schedule, pixels, t, x)", "to_unit_range"),
    ("exact_posterior_mean(schedule, pixels, t, x)", "to_unit_range"),
    ("posterior_weights(schedule, pixels, t, x)", "to_unit_range"),
    ("log_density(schedule, pixels, t, x)", "to_unit_range"),
    ("ExactNoisePredictor(schedule, pixels)", "to_unit_range"),
    ("euler_step(schedule, pixels, t, t - 1, eps)", "to_unit_range"),
    ("heun_step(schedule, pixels, t, t - 1, eps, eps)", "to_unit_range"),
    ("solve_ode(noise, schedule, pixels, [1000, 0])", "to_unit_range"),
    ("langevin_step(pixels, eps, 0.1, eps)", "to_unit_range"),
    ("progressive_coding(network, schedule, pixels)", "to_unit_range"),
    ("progressive_coding(network, schedule, grey)", "to_unit_range"),
    ("noise_and_back(network, schedule, pixels, 500, seed=0)", "to_unit_range"),
    ("noise_and_back(network, schedule, grey, 500, seed=0)", "to_unit_range"),
    ("interpolate(network, schedule, pixels, x, 500, tau, seed=0)", "to_unit_range"),
    ("interpolate(network, schedule, x, grey, 500, tau, seed=0)", "to_unit_range"),
    ("inpaint(network, schedule, pixels, known, seed=0)", "to_unit_range"),
    ("sample(network, schedule, pixels)", "floats"),
    ("draw(network, schedule, label, seed=0, indices=range(4), x_T=pixels)", "floats"),
    ("guided_eps(network, pixels, t, label, 2.0)", "to_unit_range"),
    ("classifier_gradient(reader, network, schedule, pixels, t, label)", "to_unit_range"),
    ("network(pixels, t)", "to_unit_range"),
    ("lean(pixels, t)", "to_unit_range"),
    ("to_uint8(pixels)", "floats"),
    ("to_unit_range(x)", "uint8"),
    ("to_unit_range(pixels.long())", "uint8"),
    ("pad_to_32(x[:, 0, 2:30, 2:30])", "uint8"),
    ("halved(x)", "uint8"),
    ("doubled(x)", "uint8"),
    ("validation_loss(network, schedule, x)", "uint8"),
    ("losses_by_t(network, schedule, x)", "uint8"),
    ("train(state, schedule, x, label, config)", "uint8"),
    ("train_predictor(predictor, schedule, x, 1, config)", "uint8"),
    ("noisy_batch(schedule, x, generator)", "uint8"),
    ("read_digits(reader, x)", "uint8"),
    ("bounds_of(network, schedule, x, [ReverseProcess()])", "uint8"),
    ("estimate_bound(network, schedule, x)", "uint8"),
    # another schedule than the network's
    ("sample(lean, cosine, eps)", "schedule"),
    ("sample(lean, long, eps)", "schedule"),
    ("sample(predictor, cosine, eps)", "schedule"),
    ("sample(exact, cosine, eps)", "schedule"),
    ("draw(lean, cosine, None, seed=0, indices=range(4))", "schedule"),
    ("validation_loss(lean, cosine, pixels)", "schedule"),
    ("losses_by_t(lean, long, pixels)", "schedule"),
    ("loss_simple(lean, cosine, x, t, eps)", "schedule"),
    ("losses_vlb(lean, cosine, x, t, eps)", "schedule"),
    ("train(TrainingState.start(lean, config), cosine, pixels, None, config)", "schedule"),
    ("train_predictor(predictor, cosine, pixels, 1, config)", "schedule"),
    ("estimate_bound(lean, cosine, pixels)", "schedule"),
    ("bounds_of(likelihood, cosine, pixels, [ReverseProcess()])", "schedule"),
    ("progressive_coding(lean, cosine, x)", "schedule"),
    ("noise_and_back(lean, cosine, x, 500, seed=0)", "schedule"),
    ("change_label(lean, cosine, label, label, 500, seed=0)", "schedule"),
    ("classifier_gradient(reader, lean, cosine, x, t, label)", "schedule"),
    ("save_checkpoint(folder / 'w', lean, {}, linear_beta=(2000, 1e-4, 0.02))", "schedule"),
    ("sample(lean, 1000, eps)", "Schedule", T_),
    ("q_sample(x, schedule, t, eps)", "Schedule", T_),
    # steps
    ("q_sample(schedule, x, t - 3, eps)", "0..1000"),
    ("q_sample(schedule, x, t + 1, eps)", "0..1000"),
    ("q_sample(schedule, x, t.float(), eps)", "whole numbers"),
    ("q_sample(schedule, x, t.to(torch.uint8), eps)", "whole numbers"),
    ("q_sample(schedule, x, 1001, eps)", "0..1000"),
    ("q_sample(schedule, x, 0.5, eps)", "whole numbers", T_),
    ("q_sample(schedule, x, [2, 250, 500, 1000], eps)", "whole numbers", T_),
    ("q_sample(schedule, x, t[:3], eps)", "each of 4"),
    ("q_sample(schedule, x, t[:, None], eps)", "each of 4"),
    ("q_step(schedule, x, t - 3, eps)", "0..1000"),
    ("q_step(schedule, x, t.float(), eps)", "whole numbers"),
    ("q_jump(schedule, x, t, t - 1, eps)", "before t"),
    ("q_jump(schedule, x, t - 3, t, eps)", "0..1000"),
    ("beta_tilde(schedule, t - 2)", "no noise"),
    ("beta_tilde(schedule, t.float())", "whole numbers"),
    ("q_posterior(schedule, x, x, t - 2)", "no noise"),
    ("predict_x_0(schedule, x, t + 1, eps)", "0..1000"),
    ("predict_eps(schedule, x, t - 2, x)", "no noise"),
    ("p_mean(schedule, x, t - 2, eps)", "no noise"),
    ("p_step(schedule, x, t - 2, eps, eps)", "no noise"),
    ("p_step(schedule, x, t - 3, eps, eps)", "1..1000"),
    ("ddim_step(schedule, x, t - 2, t, eps)", "no noise"),
    ("ddim_step(schedule, x, t, t - 3, eps)", "t_prev must be in 0..1000"),
    ("ddim_step(schedule, x, t, t, eps)", "before t"),
    ("loss_simple(network, schedule, x, t + 1, eps)", "1..1000"),
    ("loss_simple(network, schedule, x, t - 2, eps)", "1..1000"),
    ("losses_vlb(network, schedule, x, t - 2, eps)", "1..1000"),
    ("reverse_variance(schedule, t - 2)", "1..1000"),
    ("learned_variance(schedule, t - 2, x)", "1..1000"),
    ("step_nats(schedule, x, x, t - 2, eps, variance)", "1..1000"),
    ("term_nats(schedule, x, x, t - 2, eps, variance)", "1..1000"),
    ("distance_of_means(schedule, x, x, t - 2, eps, variance)", "1..1000"),
    ("variance_nats(schedule, t - 2, variance)", "1..1000"),
    ("vlb_weight(schedule, t - 2, variance)", "1..1000"),
    ("score_from_eps(schedule, t - 2, eps)", "no noise"),
    ("score_from_eps(schedule, t.float(), eps)", "whole numbers"),
    ("eps_from_score(schedule, t + 1, eps)", "1..1000"),
    ("v_from(schedule, x, t - 3, eps)", "0..1000"),
    ("x_0_from_v(schedule, x, t - 3, eps)", "0..1000"),
    ("eps_from_v(schedule, x, t - 3, eps)", "0..1000"),
    ("converted(schedule, x, t - 2, eps, 'eps', 'v')", "no noise"),
    ("error_weight(schedule, t - 2, 'eps', 'v')", "no noise"),
    ("noise_to_signal(schedule, t - 3)", "0..1000"),
    ("euler_step(schedule, x, t, t - 3, eps)", "0..1000"),
    ("heun_step(schedule, x, t - 3, t, eps, eps)", "0..1000"),
    ("exact_eps(schedule, x, t - 2, x)", "no noise"),
    ("interpolate_at(schedule, x, x, t - 3, tau, eps)", "0..1000"),
    ("keep_known(schedule, x, t - 3, x, known, eps)", "0..1000"),
    ("classifier_guided_eps(schedule, t - 3, eps, eps, 1.0)", "0..1000"),
    ("classifier_gradient(reader, network, schedule, x, t + 1, label)", "1..1000"),
    ("guided_eps(network, x, t.float(), label, 2.0)", "whole numbers"),
    ("guided_eps(lean, x, t + 1, None, 1.0)", "1..1000"),
    ("network(x, t.float())", "whole numbers"),
    ("network(x, t[:3])", "each of 4"),
    ("lean(x, t + 1)", "1..1000"),
    ("lean(x, t - 3)", "1..1000"),
    ("noise_and_back(network, schedule, x, 0, seed=0)", "1 to 1000"),
    ("noise_and_back(network, schedule, x, 'noon', seed=0)", "1 to 1000"),
    ("up_to(schedule, 0)", "1 to 1000"),
    ("up_to(schedule, 2.5)", "1 to 1000"),
    ("up_to(schedule, '5')", "1 to 1000"),
    ("respaced(schedule, 0)", "1 to 1000"),
    ("respaced(schedule, 2.5)", "1 to 1000"),
    ("sample(network, schedule, t_start=1001, x_t=x)", "1 to 1000"),
    ("coding_times(0)", "T must be"),
    ("coding_times(2.5)", "T must be"),
    ("progressive_coding(network, schedule, x, times=[])", "fall from 1000 to 1"),
    ("solve_ode(noise, schedule, x, [1001, 0])", "0..1000"),
    ("solve_ode(noise, schedule, x, [10.5, 0])", "whole numbers"),
    # labels
    ("loss_simple(plain, schedule, x, t, eps, label)", "without labels"),
    ("losses_vlb(plain, schedule, x, t, eps, label)", "without labels"),
    ("validation_loss(plain, schedule, pixels, label)", "without labels"),
    ("losses_by_t(plain, schedule, pixels, label)", "without labels"),
    ("train(unlabelled, schedule, pixels, label, config)", "without labels"),
    ("bounds_of(plain, schedule, pixels, [ReverseProcess()], labels=label)", "without labels"),
    ("estimate_bound(plain, schedule, pixels, labels=label)", "without labels"),
    ("progressive_coding(plain, schedule, x, label=label)", "without labels"),
    ("sample(plain, schedule, eps, label=label)", "without labels"),
    ("draw(plain, schedule, label, seed=0, indices=range(4))", "without labels"),
    ("guided_eps(plain, x, t, label, 1.0)", "without labels"),
    ("guided_eps(plain, x, t, label, 2.0)", "without labels"),
    ("plain(x, t, label)", "without labels"),
    ("lean(x, t, label)", "without labels"),
    ("sample(network, schedule, eps, label=label + 1)", "0 to 9"),
    ("sample(network, schedule, eps, label=label - 1)", "0 to 9"),
    ("sample(network, schedule, eps, label=label.float())", "whole numbers"),
    ("sample(network, schedule, eps, label=label[:3])", "each of 4"),
    ("sample(network, schedule, eps, label=3)", "tensor", T_),
    ("draw(network, schedule, label + 1, seed=0, indices=range(4))", "0 to 9"),
    ("draw(network, schedule, [3, 3, 3, 3], seed=0, indices=range(4))", "tensor", T_),
    ("noise_and_back(network, schedule, x, 500, seed=0, label=label + 1)", "0 to 9"),
    ("interpolate(network, schedule, x, x, 500, tau, seed=0, label=label + 1)", "0 to 9"),
    ("inpaint(network, schedule, x, known, seed=0, label=label + 1)", "0 to 9"),
    ("change_label(network, schedule, label, label + 1, 500, seed=0)", "0 to 9"),
    ("change_label(network, schedule, label, label[:3], 500, seed=0)", "as many"),
    ("change_label(network, schedule, label, 3, 500, seed=0)", "second must be a tensor", T_),
    ("change_label(plain, schedule, label, label, 500, seed=0)", "without labels"),
    ("change_label(network, schedule, label[0], label[0], 500, seed=0)", "labels (B,)"),
    ("validation_loss(network, schedule, pixels, label + 1)", "0 to 9"),
    ("losses_by_t(network, schedule, pixels, label[:3])", "each of 4"),
    ("train(state, schedule, pixels, label + 1, config)", "0 to 9"),
    ("train(state, schedule, pixels, label[:3], config)", "each of 4"),
    ("estimate_bound(network, schedule, pixels, labels=label + 1)", "0 to 9"),
    ("progressive_coding(network, schedule, x, label=label + 1)", "0 to 9"),
    ("classifier_gradient(reader, network, schedule, x, t, label + 1)", "0 to 9"),
    ("network(x, t, label + 2)", "0 to 10"),
    ("network(x, t, label.float())", "whole numbers"),
    ("network(x, t, label[:3])", "each of 4"),
    ("drop_labels(label, 3, 10, generator)", "0 to 1"),
    ("drop_labels(label.float(), 0.1, 10, generator)", "whole numbers"),
    ("drop_labels(3, 0.1, 10, generator)", "tensor", T_),
    ("drop_labels(label, 0.1, 10, 0)", "generator", T_),
    ("score(read_digits(reader, pixels), label[:3], real)", "each of 4"),
    ("score(read_digits(reader, pixels), label + 1, real)", "0 to 9"),
    # sizes, shapes, dtypes, devices, values
    ("sample(network, schedule, large)", "(B, 1, 32, 32)"),
    ("sample(lean, schedule, large)", "(B, 1, 32, 32)"),
    ("sample(network, schedule, x[0])", "(B, 1, 32, 32)"),
    ("sample(network, schedule, x[:0])", "(B, 1, 32, 32)"),
    ("sample(network, schedule, nan)", "finite"),
    ("sample(network, schedule, eps.double())", "float32"),
    ("sample(network, schedule, meta)", "on meta"),
    ("sample(network, schedule, 4)", "tensor", T_),
    ("sample(network, schedule)", "begin with"),
    ("sample(network, schedule, eps, 'ddim')", "SamplingOptions", T_),
    ("draw(noise, schedule, None, seed=0, indices=range(4))", "network", T_),
    ("draw(network, schedule, None, seed=0, indices=4)", "indices", T_),
    ("draw(network, schedule, None, seed=0, indices=[])", "(B, 1, 32, 32)"),
    ("draw(network, schedule, None, seed=-1, indices=range(4))", "seed"),
    ("draw(network, schedule, None, seed=0.5, indices=range(4))", "seed"),
    ("draw(network, schedule, label, seed=0, indices=range(3))", "each of 3"),
    ("network(large, t)", "(B, 1, 32, 32)"),
    ("network(x[:, 0], t)", "(B, 1, 32, 32)"),
    ("network(x.double(), t)", "float32"),
    ("network(meta, t)", "on meta"),
    ("predictor(torch.zeros(4, 1, 20, 20), t)", "8 divides"),
    ("guided_eps(network, large, t, label, 2.0)", "(B, 1, 32, 32)"),
    ("validation_loss(network, schedule, torch.zeros(4, 1, 64, 64).byte())", "(N, 1, 32, 32)"),
    ("validation_loss(network, schedule, small)", "(N, 1, 32, 32)"),
    ("validation_loss(network, schedule, pixels[:0])", "(N, 1, 32, 32)"),
    ("validation_loss(network, schedule, pixels[:1])", "two"),
    ("validation_loss(noise, schedule, pixels)", "network", T_),
    ("losses_by_t(network, schedule, pixels, batch_size=0)", "batch_size"),
    ("train(state, schedule, small, label, config)", "(N, 1, 32, 32)"),
    ("train(network, schedule, pixels, label, config)", "TrainingState", T_),
    ("train(state, schedule, pixels, label, {})", "TrainingConfig", T_),
    ("train_predictor(network, schedule, pixels, 1, config)", "Predictor", T_),
    ("train_predictor(predictor, schedule, pixels, -1, config)", "steps"),
    ("train_predictor(predictor, schedule, pixels, 1, config, 'w')", "weighed is"),
    ("bounds_of(network, schedule, small, [ReverseProcess()])", "(N, 1, 32, 32)"),
    ("bounds_of(network, schedule, pixels, ReverseProcess())", "ReverseProcess", T_),
    ("estimate_bound(network, schedule, pixels[:0])", "(N, 1, 32, 32)"),
    ("estimate_bound(network, schedule, pixels, process='beta')", "ReverseProcess", T_),
    ("default_process(noise)", "network", T_),
    ("chunk_size(noise)", "network", T_),
    ("progressive_coding(network, schedule, large)", "(B, 1, 32, 32)"),
    ("progressive_coding(network, schedule, nan)", "[-1, 1]"),
    ("noise_and_back(network, schedule, nan, 500, seed=0)", "[-1, 1]"),
    ("noise_and_back(network, schedule, large, 500, seed=0)", "(B, 1, 32, 32)"),
    ("interpolate(network, schedule, x, x, 500, tau.long(), seed=0)", "floats"),
    ("interpolate(network, schedule, x, x, 500, 0.5, seed=0)", "tensor", T_),
    ("interpolate(network, schedule, x, x, 500, tau[:3], seed=0)", "4 images for 3"),
    ("interpolate_at(schedule, x, x, t, tau[:3], eps)", "each of 4"),
    ("interpolate_at(schedule, x, x[:3], t, tau, eps)", "x_0_other must be shaped like"),
    ("inpaint(network, schedule, x, x, seed=0)", "True"),
    ("inpaint(network, schedule, x, known, seed=0, resamples=0)", "resamples"),
    ("keep_known(schedule, x, t, x, x, eps)", "True"),
    ("keep_known(schedule, x, t, x, known[:3], eps)", "does not fit"),
    ("q_sample(schedule, x, t, eps[:, 0])", "shaped like x_0"),
    ("q_sample(schedule, x, t, eps[:3])", "shaped like x_0"),
    ("q_sample(schedule, x, t, 0.5)", "tensor", T_),
    ("q_sample(schedule, x, t, meta)", "on meta"),
    ("q_sample(schedule, x, t.to('meta'), eps)", "on meta"),
    ("q_step(schedule, x, t, eps[:, 0])", "shaped like x_prev"),
    ("q_jump(schedule, x, t - 1, t, eps[:3])", "shaped like x_s"),
    ("q_posterior(schedule, x, x[:, 0], t)", "shaped like x_t"),
    ("predict_x_0(schedule, x, t, eps[:, 0])", "shaped like x_t"),
    ("predict_eps(schedule, x, t, x[:, 0])", "shaped like x_t"),
    ("p_mean(schedule, x, t, eps[:, 0])", "shaped like x_t"),
    ("p_step(schedule, x, t, eps, eps[:, 0])", "shaped like x_t"),
    ("p_step(schedule, x, t, eps, eps, 'foo')", "beta_tilde"),
    ("ddim_step(schedule, x, t, t - 1, eps, 1.0)", "pass z"),
    ("ddim_step(schedule, x, t, t - 1, eps, 2.0, eps)", "eta"),
    ("ddim_step(schedule, x, t, t - 1, eps[:, 0])", "shaped like x_t"),
    ("loss_simple(network, schedule, x, t, eps[:, 0])", "shaped like x_0"),
    ("loss_simple(3, schedule, x, t, eps)", "model", T_),
    ("loss_simple(lambda x, t, label: x[:, 0], schedule, x, t, eps)", "must give"),
    ("training_step(network, optimizer, schedule, x, t, eps[:, 0])", "shaped like x_0"),
    ("training_step(noise, optimizer, schedule, x, t, eps)", "network", T_),
    ("training_step(network, 0.1, schedule, x, t, eps)", "optimizer", T_),
    ("kl_gaussians(x, -variance, x, variance)", "variance_1"),
    ("kl_gaussians(x, variance, x, 0 * variance)", "variance_2"),
    ("log_decoder(x, x, 0 * variance)", "variance"),
    ("log_decoder(x, x, variance.flatten())", "variance"),
    ("step_nats(schedule, x, x, t, eps, -variance)", "variance"),
    ("decoder_nats(schedule, x, x, eps, -variance)", "variance"),
    ("term_nats(schedule, x, x, t, eps[:, 0], variance)", "shaped like x_0"),
    ("distance_of_means(schedule, x, x, t, eps, 0 * variance)", "variance"),
    ("variance_nats(schedule, t, -variance)", "variance"),
    ("variance_nats(schedule, t, variance.flatten())", "variance"),
    ("vlb_weight(schedule, t, -variance)", "variance"),
    ("reverse_variance(schedule, t, 'foo')", "beta_tilde"),
    ("reverse_variance(schedule, t, 'beta', 'foo')", "beta_1"),
    ("learned_variance(schedule, t, x[:3])", "each of 3"),
    ("losses_vlb(network, schedule, x, t, eps, None, 'foo')", "beta_tilde"),
    ("loss_vlb(network, schedule, x, t, eps[:, 0])", "shaped like x_0"),
    ("prior_nats(schedule, 3)", "tensor", T_),
    ("per_picture(x[0, 0])", "(B, 1, 32, 32)"),
    ("per_picture(3.0)", "tensor", T_),
    ("bits_per_dim(x, 0)", "pixels"),
    ("bits_per_dim('many')", "tensor", T_),
    ("to_bits('many')", "tensor", T_),
    ("mean_of(x)", "(N,)"),
    ("mean_of(tau[:0])", "(N,)"),
    ("mean_of(label)", "floats"),
    ("score_from_eps(schedule, t[:3], eps)", "each of 4"),
    ("eps_from_score(schedule, t, pixels)", "floats"),
    ("langevin_step(x, eps, 0.0, eps)", "above 0"),
    ("langevin_step(x, eps, 0.1, eps[:, 0])", "shaped like x"),
    ("langevin_step(x, eps, tau[:3] + 1, eps)", "step_size"),
    ("classifier_gradient(lambda x: x, network, schedule, x, t, label)", "classifier"),
    ("classifier_gradient(reader, network, schedule, x[:, 0], t, label)", "(B, 1, 32, 32)"),
    ("classifier_guided_eps(schedule, t, eps, eps[:, 0], 1.0)", "shaped like eps"),
    ("converted(schedule, x, t, eps[:, 0], 'eps', 'v')", "shaped like x_t"),
    ("converted(schedule, x, t, eps, 'noise', 'v')", "one of"),
    ("error_weight(schedule, t, 'eps', 'foo')", "weighed is"),
    ("v_from(schedule, x, t, eps[:, 0])", "shaped like x_0"),
    ("x_0_from_v(schedule, x, t, eps[:, 0])", "shaped like x_t"),
    ("eps_from_v(schedule, x, t, eps[:, 0])", "shaped like x_t"),
    ("exact_eps(schedule, x, t, x[:, 0])", "each"),
    ("exact_posterior_mean(schedule, x, t[:3], x)", "each of 4"),
    ("posterior_weights(schedule, x, t, x[:0])", "no data"),
    ("log_density(schedule, x, t, pixels)", "to_unit_range"),
    ("exact(x, t, label)", "labels"),
    ("straight_path(x, t, eps)", "floats"),
    ("straight_path(x, t.float(), eps)", "0 to 1"),
    ("straight_path(x, 0.5, eps)", "tensor", T_),
    ("straight_path(x, tau, eps[:, 0])", "shaped like x_0"),
    ("flow_target(x, eps[:, 0])", "shaped like x_0"),
    ("flow_x_0(x, tau[:3], eps)", "each of 4"),
    ("flow_x_0(x, t, eps)", "floats"),
    ("flow_velocity(network, x, tau)", "LeanUNet", T_),
    ("flow_velocity(lean, x, t.float())", "0 to 1"),
    ("flow_velocity(lean, x, tau, label)", "without labels"),
    ("flow_loss(line, x, tau, eps[:, 0])", "shaped like x_0"),
    ("flow_step(x, tau, tau + 1, eps)", "0 to 1"),
    ("flow_step(x, tau, tau, eps[:, 0])", "shaped like x_tau"),
    ("flow_sampling(line, x, 0)", "1 or more"),
    ("flow_sampling(line, x, 2.5)", "1 or more"),
    ("flow_sampling(line, pixels, 2)", "floats"),
    ("euler_step(schedule, x, t, t - 1, eps[:, 0])", "shaped like x_t"),
    ("heun_step(schedule, x, t, t - 1, eps, eps[:, 0])", "shaped like x_t"),
    ("solve_ode(noise, schedule, x, [10, 0], 'foo')", "euler"),
    ("noise_to_signal(schedule, 0.5)", "whole numbers", T_),
    ("noisy_batch(schedule, pixels, 0)", "generator", T_),
    ("normal(5, None, 'cpu')", "shape", T_),
    ("normal((4, 1), 0, 'cpu')", "generator", T_),
    ("normal((4, 1), [generator], 'cpu')", "1 generators for a batch of 4"),
    ("normal((-4, 1), None, 'cpu')", "shape"),
    ("normal((4, 1), None, 'toaster')", "toaster"),
    ("stream(-1, 'noise')", "seed"),
    ("stream(0.5, 'noise')", "seed"),
    ("stream(0, 5)", "purpose", T_),
    ("stream(0, 'noise', 0.5)", "index"),
    ("time_encoding(t, 5)", "even"),
    ("time_encoding(t, 0)", "even"),
    ("time_encoding(t[:, None], 8)", "(B,)"),
    ("time_encoding(5, 8)", "tensor", T_),
    ("to_uint8(3)", "tensor", T_),
    ("to_unit_range('a.png')", "tensor", T_),
    ("pad_to_32(pixels)", "(N, 28, 28)"),
    ("halved(pixels[:, 0])", "(N, 1, H, W)"),
    ("halved(pixels[..., :31])", "even"),
    ("doubled(pixels[:, 0])", "(N, 1, H, W)"),
    ("last([])", "no state"),
    ("last(x)", "states", T_),
    ("last(None)", "states", T_),
    ("ancestral_sampling(noise, p_step, 1000, x, {})", "Schedule", T_),
    ("for_sampling(network, [], 4)", "times"),
    ("for_sampling(network, [1000, 0], 0)", "batch"),
    # settings
    ("SamplingOptions(method='foo')", "ddim"),
    ("SamplingOptions(method='ddim', variance='foo')", "beta_tilde"),
    ("SamplingOptions(method='ddim', variance='beta')", "eta"),
    ("sample(network, schedule, x, SamplingOptions(variance='beta'), eta=0.0)", "eta"),
    ("draw(network, schedule, x, seed=0, indices=range(4))", "label must hold whole numbers"),
    ("sample(network, schedule, label)", "x_T"),
    ("sample('network', schedule, x)", "network", T_),
    ("sample(network, schedule, t_start=9, x_t=pixels)", "x_t must be floats"),
    ("sample(network, schedule, x, SamplingOptions(guidance=3))", "no label"),
    ("draw(plain, schedule, None, strong, seed=0, indices=range(4))", "no label"),
    # a schedule, and a class of digits, of one's own
    ("Schedule(1, 2, 3)", "beta must be a tensor", T_),
    ("Schedule(schedule.beta[1:], schedule.alpha[1:], schedule.alpha_bar[1:])", "t = 0"),
    ("Schedule(schedule.beta, schedule.alpha, schedule.alpha_bar[1:])", "shaped like beta"),
    ("Schedule(schedule.beta, schedule.alpha, 2 - schedule.alpha_bar)", "alpha_bar must be from 0"),
    ("Schedule(0 * t, t, t)", "floats"),
    ("load_offline_digits().of_class(11)", "0 to 9"),
    ("load_offline_digits().of_class('3')", "0 to 9"),
    ("SamplingOptions(steps=0)", "steps"),
    ("SamplingOptions(steps=2.5)", "steps"),
    ("SamplingOptions(guidance='strong')", "guidance"),
    ("SamplingOptions(guidance=float('nan'))", "guidance"),
    ("SamplingOptions(method='ddim', eta=2)", "eta"),
    ("SamplingOptions(method='ddim', eta='1')", "eta"),
    ("SamplingOptions(eta=1)", "eta"),
    ("SamplingOptions(clip='yes')", "clip"),
    ("sample(network, schedule, eps, SamplingOptions(steps=1001))", "1 to 1000"),
    ("TrainingConfig(optimizer='sgd')", "muon"),
    ("TrainingConfig(lr_schedule='one-cycle')", "cosine"),
    ("TrainingConfig(weighting='foo')", "logit-normal"),
    ("TrainingConfig(label_dropout=3)", "label_dropout"),
    ("TrainingConfig(epochs=1.5)", "epochs"),
    ("TrainingConfig(batch_size=0)", "batch_size"),
    ("TrainingConfig(lr=-1)", "lr"),
    ("TrainingConfig(lr='fast')", "lr"),
    ("TrainingConfig(warmup_steps=-1)", "warmup_steps"),
    ("TrainingConfig(ema_decay=2)", "ema_decay"),
    ("TrainingConfig(grad_clip=0)", "grad_clip"),
    ("TrainingConfig(weight_decay=-1)", "weight_decay"),
    ("TrainingConfig(seed=-1)", "seed"),
    ("TrainingConfig(bf16='yes')", "bf16"),
    ("TrainingState.start(noise, config)", "network", T_),
    ("TrainingState.start(network, {})", "TrainingConfig", T_),
    ("ReverseProcess('foo')", "learned"),
    ("ReverseProcess(first='foo')", "beta_1"),
    ("estimate_bound(network, schedule, pixels, process=ReverseProcess('learned'))", "learned"),
    ("Predictor('noise', schedule)", "one of"),
    ("Predictor('eps', 1000)", "Schedule", T_),
    ("UNet(5)", "multiple of 4"),
    ("UNet(4.0)", "multiple of 4"),
    ("UNet('4')", "multiple of 4"),
    ("UNet(4, 0)", "num_classes"),
    ("UNet(4, 2.5)", "num_classes"),
    ("LeanUNet(20)", "multiple of 32"),
    ("LeanUNet(32, -1)", "num_classes"),
    ("LikelihoodUNet(20)", "multiple of 32"),
    ("linear_schedule(0)", "T must be"),
    ("linear_schedule(2.5)", "T must be"),
    ("linear_schedule('10')", "T must be"),
    ("linear_schedule(10, 0.0)", "between 0 and 1"),
    ("linear_schedule(10, 'a')", "beta_1"),
    ("cosine_schedule(0)", "T must be"),
    ("cosine_schedule(2.5)", "T must be"),
    ("cosine_schedule(10, -1)", "s not below 0"),
    ("cosine_schedule(10, 'a')", "s not below 0"),
    ("schedule_from_beta([])", "between 0 and 1"),
    ("schedule_from_beta([0.1, 2])", "between 0 and 1"),
    ("schedule_from_beta(['a'])", "between 0 and 1"),
    ("schedule_from_beta(0.5)", "between 0 and 1"),
    ("schedule.to('toaster')", "toaster"),
    ("choose_device('toaster')", "toaster", U_),
    ("choose_device(3)", "No device 3", U_),
    # digits, files, scores
    ("load_checkpoint(3)", "path", T_),
    ("load_checkpoint('nowhere')", "No weights", U_),
    ("load_checkpoint(device='toaster')", "toaster"),
    ("load_classifier('toaster')", "toaster"),
    ("load_digits('nowhere')", "nowhere", U_),
    ("load_digits(3)", "path", T_),
    ("load_offline_digits(3)", "reason", T_),
    ("load_unseen_digits('nowhere')", "nowhere", U_),
    ("load_film_strip(3)", "path", T_),
    ("save_checkpoint(3, network, {})", "path", T_),
    ("save_checkpoint(folder / 'w', network, 'long')", "training", T_),
    ("save_checkpoint(folder / 'w', network, {'a': x})", "JSON", T_),
    ("save_checkpoint(folder / 'w', module, {})", "UNet", T_),
    ("save_checkpoint(folder / 'w', predictor, {})", "UNet", T_),
    ("save_checkpoint(folder / 'w', network, {}, linear_beta=(0, 1e-4, 0.02))", "T must be"),
    ("save_checkpoint(folder / 'w', network, {}, linear_beta=1000)", "linear_beta"),
    ("load_predictor_logs().of('eps', 'foo')", "no network", KeyError),
    ("read_digits(reader, small)", "(N, 1, 32, 32)"),
    ("read_digits(network, pixels)", "load_classifier", T_),
    ("read_digits(load_classifier(), pixels)", "load_classifier", T_),
    ("read_features(reader, x)", "(N, 64)"),
    ("read_features(network, torch.zeros(4, 64))", "load_classifier", T_),
    ("score(pixels, label, real)", "Reading", T_),
    ("score(read_digits(reader, pixels), label, None)", "RealDigits", T_),
    ("score(read_digits(reader, pixels), label, real)", "10 images or more"),
    ("score(read_features(reader, real.test_features[:20]), None, real, lot=250)", "0 to 249"),
    ("real_card(reader, real, 0)", "n must be"),
    ("real_card(reader, real, 6000)", "n must be"),
    ("share(label)", "True"),
    ("difference(0.5, 0.7)", "Share", T_),
    ("grid(x[0, 0, 0])", "(N, 1, H, W)"),
    ("grid(x, 0)", "columns"),
    ("grid('a.png')", "tensor", T_),
    ("save_png(3, x)", "path", T_),
    ("save_png(folder / 'a.txt', x)", "must end in", U_),
    ("save_png(folder / 'a.png', 'x')", "tensor", T_),
    ("save_png(folder, x)", "is a folder", TutorError),
    ("save_png('', x)", "is a folder", TutorError),
    ("save_png(folder / 'a.png', x * float('nan'))", "NaN"),
    ("save_gif(folder, [], schedule)", "is a folder", TutorError),
    ("save_gif(3, [], schedule)", "path", T_),
    ("save_gif(folder / 'a.txt', [], schedule)", "must end in", U_),
    ("save_gif(folder / 'a.gif', [], schedule)", "no state"),
    ("save_gif(folder / 'a.gif', [x], schedule)", "states", T_),
    ("save_gif(folder / 'a.gif', [], 1000)", "Schedule", T_),
]


def told(call: str, folder: Path) -> BaseException | None:
    """The error that a call raises, at once or when its first state is asked for."""
    try:
        given = eval(call, {**names(), "folder": folder})
        if isinstance(given, Iterator):
            next(given)
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_nonsense_is_refused_in_a_line(
    case: tuple[Any, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, word, kind = case if len(case) == 3 else (*case, ValueError)
    monkeypatch.chdir(tmp_path)
    error = told(call, tmp_path)
    assert isinstance(error, kind), (error, "silent" if error is None else "")
    assert word in str(error), error
    assert "\n" not in str(error) and len(str(error)) < 200, error
    assert [*tmp_path.iterdir()] == []


# What is meant is never refused, nor read where that would take time


def test_at_t_0_the_forward_process_has_added_nothing() -> None:
    known = names()
    schedule, x, eps = known["schedule"], known["x"], known["eps"]
    t = torch.zeros(4, dtype=torch.long)
    assert torch.equal(ddpm_tutor.q_sample(schedule, x, t, eps), x)  # Eq. 4
    assert torch.equal(ddpm_tutor.q_step(schedule, x, t, eps), x)  # Eq. 2
    assert torch.equal(ddpm_tutor.predict_x_0(schedule, x, t, eps), x)  # Eq. 15


def test_one_step_may_stand_for_all_images_and_one_image_for_all_steps() -> None:
    known = names()
    schedule, x, eps, t = (known[name] for name in ("schedule", "x", "eps", "t"))
    each = ddpm_tutor.q_sample(schedule, x, torch.full((4,), 500), eps)
    for one in (500, torch.tensor(500), torch.tensor([500], dtype=torch.int32)):
        assert torch.equal(ddpm_tutor.q_sample(schedule, x, one, eps), each)
    assert ddpm_tutor.q_sample(schedule, x[:1], t, eps[:1]).shape == x.shape


def test_the_values_of_t_are_not_read_where_there_are_none() -> None:
    known = names()
    x, eps = (known[name].to("meta") for name in ("x", "eps"))  # a device that has no values
    schedule = known["schedule"].to("meta")
    for t in (known["t"].to("meta"), (known["t"] + 1).to("meta")):
        x_t = ddpm_tutor.q_sample(schedule, x, t, eps)
        assert ddpm_tutor.p_step(schedule, x_t, t, eps, eps).shape == x.shape
        assert ddpm_tutor.ddim_step(schedule, x_t, t, t - 1, eps).shape == x.shape
        assert ddpm_tutor.score_from_eps(schedule, t, eps).shape == x.shape


def test_steps_and_shares_out_of_range_are_refused_on_any_device(device: str) -> None:
    on = names()["schedule"].to(device)
    x, t, tau = (names()[name].to(device) for name in ("x", "t", "tau"))
    variance = names()["variance"].to(device)
    for call in (
        lambda: ddpm_tutor.q_sample(on, x, t + 1, x),
        lambda: ddpm_tutor.p_step(on, x, t - 2, x, x),
        lambda: ddpm_tutor.q_jump(on, x, t, t, x),
        lambda: ddpm_tutor.loss_simple(lambda x_t, t, label: x_t, on, x, t + 1, x),
        lambda: ddpm_tutor.straight_path(x, tau + 0.5, x),
        lambda: ddpm_tutor.variance_nats(on, t, -variance),
    ):
        with pytest.raises(ValueError, match=r"must be|before t"):
            call()


class Reads(TorchDispatchMode):
    """Counts how often Python waits for a number of another device than the CPU."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default and args[0].device.type != "cpu":
            self.count += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("way", ["sample", "ode", "flow", "inpaint"])
def test_our_own_loops_wait_for_no_device_step_by_step(device: str, way: str) -> None:
    from ddpm_tutor.api import SamplingOptions, flow_sampling, inpaint, sample, solve_ode

    model = copy.deepcopy(names()["network"]).to(device)
    on, x = names()["schedule"].to(device), names()["x"][:1].to(device)
    ways: dict[str, Any] = {
        "sample": lambda n: sample(model, on, x, SamplingOptions(steps=n)),
        "ode": lambda n: solve_ode(lambda x_t, t: x_t, on, x, range(n, -1, -1), "heun"),
        "flow": lambda n: flow_sampling(lambda x_tau, tau: x_tau, x, n),
        "inpaint": lambda n: inpaint(
            model, on, x, x > 0, SamplingOptions(steps=n), seed=0, indices=[0]
        ),
    }
    counts = []
    for n in (2, 5):
        with Reads() as reads:
            assert len(list(ways[way](n))) == n + 1
        counts.append(reads.count)
    for_hooks = 3 if way == "inpaint" else 0  # which are told the step
    assert counts[1] - counts[0] == for_hooks, counts


def test_the_first_part_of_its_schedule_is_the_lean_networks_own() -> None:
    known = names()
    first = ddpm_tutor.up_to(known["schedule"], 300)
    options = ddpm_tutor.SamplingOptions(steps=2)
    states = [*ddpm_tutor.sample(known["lean"], first, known["eps"], options)]
    assert [state.t for state in states] == [300, 150, 0]


class Own(ddpm_tutor.LeanUNet):
    """A network with a `forward` of its own."""

    def forward(self, x_t: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        return 0 * x_t


class OwnConv(nn.Conv2d):
    """A layer that is none of torch's."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1


def no_noise(x_t: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
    return 0 * x_t


@pytest.mark.parametrize("way", ["class", "forward", "hook", "layer", "hook of a layer"])
def test_what_a_network_of_ones_own_says_is_what_is_drawn(way: str) -> None:
    known = names()
    network = Own(32) if way == "class" else ddpm_tutor.LeanUNet(32)
    if way == "forward":
        network.forward = no_noise
    if way == "hook":
        network.register_forward_hook(lambda module, given, eps: 0 * eps)
    if way == "hook of a layer":
        network.out.register_forward_hook(lambda module, given, v: v + 1)
    if way == "layer":
        network.out = OwnConv(network.out.in_channels, 4, 3, padding=1)
    options = ddpm_tutor.SamplingOptions(method="ddim", steps=2, clip=False)
    with torch.no_grad():
        eps = network(known["x"], torch.full((4,), 1000))
    first = next(ddpm_tutor.sample(network, known["schedule"], known["x"], options))
    wanted = ddpm_tutor.predict_x_0(known["schedule"], known["x"], torch.tensor([1000]), eps)
    torch.testing.assert_close(first.x_0_hat, wanted, rtol=1e-2, atol=5)  # / 0.006: bfloat16


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_may_be_text(kind: Any, tmp_path: Path) -> None:
    file, network = kind(tmp_path / "mine.safetensors"), names()["network"]
    ddpm_tutor.save_checkpoint(file, network, {})
    assert type(ddpm_tutor.load_checkpoint(file).model) is type(network)
    assert ddpm_tutor.load_film_strip(kind(tmp_path / "none.npz")).epochs == []
    assert ddpm_tutor.save_png(kind(tmp_path / "digits"), names()["x"]).is_file()


def functions() -> dict[str, Any]:
    """The public functions."""
    from ddpm_tutor import api

    known = {name: getattr(api, name) for name in api.__all__}
    return {name: value for name, value in known.items() if inspect.isfunction(value)}


def test_every_public_function_refuses_something() -> None:
    tried = {name for case in CASES for name in re.findall(r"\w+(?=\()", case[0])}
    for name, function in functions().items():
        if inspect.signature(function).parameters:
            assert name in tried, name


def test_a_docstring_names_the_errors_that_the_function_is_seen_to_raise() -> None:
    for call, _, *kind in CASES:
        node = ast.parse(call, mode="eval").body
        name = (
            node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
        )
        if not (function := functions().get(name)):
            continue
        told = inspect.getdoc(function) or ""
        raises = told.partition("Raises:\n")[2].partition("\n\n")[0]
        assert (kind or [ValueError])[0].__name__ in raises, call


def table() -> None:
    """Prints what each call does: for whoever looks at a version without these checks."""
    import linecache
    import tempfile

    counts: dict[str, int] = {}
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            error = told(case[0], Path(folder))
        kind = "silent"
        if error is not None:
            trace = error.__traceback__
            while trace and trace.tb_next:
                trace = trace.tb_next
            assert trace is not None
            file, line = trace.tb_frame.f_code.co_filename, trace.tb_lineno
            ours = "ddpm_tutor" in file and "raise" in linecache.getline(file, line)
            kind = "refused" if ours and not isinstance(error, AttributeError) else "raw"
            if file.startswith("<string>") or isinstance(error, NameError):
                kind = "no name"
        counts[kind] = counts.get(kind, 0) + 1
        first = "" if error is None else f"{type(error).__name__}: {error}".splitlines()[0]
        print(f"{kind:8} {case[0]:80} {first[:110]}")
    print(counts)


if __name__ == "__main__":
    assert ddpm_tutor
    table()
