"""A training run on disk: what it leaves behind, and going on from it."""

import dataclasses
import json
import tarfile
import timeit
from pathlib import Path

import pytest
import torch

from ddpm_tutor.cli.advice import with_advice
from ddpm_tutor.errors import TutorError, UsageError
from ddpm_tutor.science.bits import estimate_bound, mean_of
from ddpm_tutor.science.bound import bits_per_dim
from ddpm_tutor.science.devices import choose_device
from ddpm_tutor.science.training import StepReport, TrainingConfig
from ddpm_tutor.science.validation_loss import validation_loss
from ddpm_tutor.storage.checkpoints import load_checkpoint, save_checkpoint
from ddpm_tutor.storage.digits import Digits
from ddpm_tutor.storage.training_run import (
    SHIPPED,
    EpochReport,
    OtherNetwork,
    Run,
    RunExists,
    RunSettings,
    machine,
    read_epoch,
)

CPU = torch.device("cpu")
TRAINING = TrainingConfig(epochs=2, batch_size=20, lr=1e-3, lr_schedule="cosine")
UNET = RunSettings("unet", 4, True, TRAINING)
LEAN = RunSettings("lean", 32, False, dataclasses.replace(TRAINING, optimizer="muon"))


def finish(run, digits):
    """The epoch reports of what is left of the run."""
    return [report for report in run.train(digits) if isinstance(report, EpochReport)]


def interrupted(folder, settings, digits, steps):
    """A run that was stopped, without a word, after so many steps."""
    run = Run.start(folder, settings, CPU)
    for report in run.train(digits):
        if isinstance(report, StepReport) and report.step == steps:
            return


def same(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def timeless(report):
    """A report without what a clock says."""
    return dataclasses.replace(report, seconds=0, images_per_second=0)


VLB = dataclasses.replace(
    LEAN,
    network="likelihood",
    training=dataclasses.replace(LEAN.training, weighting="vlb"),
)


def test_a_run_for_the_bound_goes_on_as_if_it_had_not_been_stopped(tmp_path, digits):
    interrupted(tmp_path / "stopped", VLB, digits, 3)
    resumed = Run.resume(tmp_path / "stopped", VLB, CPU)
    through = Run.start(tmp_path / "through", VLB, CPU)
    assert len(finish(resumed, digits)) == 1 and len(finish(through, digits)) == 2
    assert same(resumed.state.ema, through.state.ema)
    kept = load_checkpoint(tmp_path / "through")
    bound = estimate_bound(kept.model, kept.schedule, digits.validation_images).nats
    told = Run.resume(tmp_path / "through", VLB, CPU).history[-1].bits_per_dim
    assert told.mean == pytest.approx(mean_of(bits_per_dim(bound)).mean, rel=1e-4)
    with pytest.raises(TutorError, match="weighting = vlb"):
        Run.resume(tmp_path / "stopped", dataclasses.replace(VLB, training=LEAN.training), CPU)


def test_a_run_for_the_bound_can_begin_with_lean_weights_and_keeps_their_log(tmp_path, digits):
    finish(Run.start(tmp_path / "lean", LEAN, CPU), digits)
    start_from = str(tmp_path / "lean" / "weights.safetensors")
    run = Run.start(tmp_path / "on", dataclasses.replace(VLB, start_from=start_from), CPU)
    lean, x_t = load_checkpoint(tmp_path / "lean").model, torch.randn(2, 1, 32, 32)
    t = torch.tensor([1, 500])
    assert torch.allclose(run.state.model(x_t, t), lean(x_t, t), atol=1e-4)
    finish(run, digits)
    grown = load_checkpoint(tmp_path / "on")
    assert grown.model.learned_variance and len(grown.log) == 4
    back = dataclasses.replace(LEAN, start_from=str(tmp_path / "on" / "weights.safetensors"))
    with pytest.raises(OtherNetwork):
        Run.start(tmp_path / "back", back, CPU)


@pytest.mark.parametrize("settings", [UNET, LEAN], ids=["unet", "lean"])
def test_a_run_leaves_weights_state_settings_and_a_log(tmp_path, digits, settings):
    run = Run.start(tmp_path / "run", settings, CPU)
    reports = finish(run, digits)
    names = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert names == ["config.json", "log.jsonl", "state.pt", "weights.safetensors"]
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [read_epoch(line) for line in lines] == reports == run.history
    assert [report.epoch for report in reports] == [1, 2]
    assert [report.step for report in reports] == [2, 4]
    assert [report.images_seen for report in reports] == [40, 80]


def test_the_log_is_json_with_a_machine_and_figures(tmp_path, digits):
    finish(Run.start(tmp_path, UNET, CPU), digits)
    for line in (tmp_path / "log.jsonl").read_text().splitlines():
        fields = json.loads(line)
        assert 0 < fields["train_loss"] < 10
        assert 0 < fields["validation"]["mean"] < 10
        assert 0 < fields["validation"]["error"] < 10
        assert fields["seconds"] > 0
        assert fields["images_per_second"] == pytest.approx(40 / fields["seconds"])
        assert fields["machine"].endswith((" 1 thread", " threads"))
        assert not fields["machine"].endswith(" 1 threads")
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["digits"] == digits.source and config["network"] == "unet"


def test_the_weights_are_the_averaged_ones_and_draw(tmp_path, digits):
    run = Run.start(tmp_path, UNET, CPU)
    finish(run, digits)
    loaded = load_checkpoint(tmp_path / "weights.safetensors")
    assert same(loaded.model, run.state.ema)
    assert not same(loaded.model, run.state.model)
    assert loaded.training["settings"]["training"]["lr"] == 1e-3
    assert [epoch["epoch"] for epoch in loaded.training["log"]] == [1, 2]
    assert torch.equal(loaded.schedule.alpha_bar, run.schedule.alpha_bar)


def test_the_logged_validation_loss_is_that_of_the_saved_weights(tmp_path, digits):
    run = Run.start(tmp_path, UNET, CPU)
    last = finish(run, digits)[-1]
    loaded = load_checkpoint(run.weights_file)
    images, labels = digits.validation_images, digits.validation_labels
    with_labels = validation_loss(loaded.model, loaded.schedule, images, labels)
    without = validation_loss(loaded.model, loaded.schedule, images)
    assert last.validation.mean == pytest.approx(with_labels.mean, rel=1e-5)
    assert last.validation_unlabelled.mean == pytest.approx(without.mean, rel=1e-5)
    assert with_labels != without


def test_the_train_loss_of_an_epoch_is_the_mean_of_its_steps(tmp_path, digits):
    losses = []
    for report in Run.start(tmp_path, LEAN, CPU).train(digits):
        if isinstance(report, StepReport):
            losses.append(report.loss)
        else:
            assert report.train_loss == pytest.approx(sum(losses) / 2)
            assert report.validation_unlabelled is None
            losses = []


# an epoch has 2 steps; after step 4 there was no time to save the second one
@pytest.mark.slow
@pytest.mark.parametrize("steps", [3, 4], ids=["within an epoch", "before a save"])
@pytest.mark.parametrize("settings", [UNET, LEAN], ids=["unet", "lean"])
def test_a_resumed_run_ends_bit_for_bit_as_an_uninterrupted_one(tmp_path, digits, settings, steps):
    training = dataclasses.replace(settings.training, epochs=3)
    settings = dataclasses.replace(settings, training=training)
    whole = Run.start(tmp_path / "whole", settings, CPU)
    finish(whole, digits)

    interrupted(tmp_path / "parts", settings, digits, steps)
    torch.manual_seed(99)  # resuming must not lean on the state of the process
    parts = Run.resume(tmp_path / "parts", settings, CPU)
    assert parts.state.step == 2
    assert len(finish(parts, digits)) == 2

    assert same(parts.state.model, whole.state.model)
    assert same(parts.state.ema, whole.state.ema)
    assert list(map(timeless, parts.history)) == list(map(timeless, whole.history))
    assert len(parts.log_file.read_text().splitlines()) == 3


def test_a_finished_run_can_be_made_longer_but_not_shorter(tmp_path, digits):
    finish(Run.start(tmp_path, UNET, CPU), digits)
    more, less = (
        dataclasses.replace(UNET, training=dataclasses.replace(TRAINING, epochs=n)) for n in (4, 1)
    )
    longer = Run.resume(tmp_path, more, CPU)
    assert [report.epoch for report in finish(longer, digits)] == [3, 4]
    assert len(longer.log_file.read_text().splitlines()) == 4
    with pytest.raises(TutorError, match="epochs = 4"):
        Run.resume(tmp_path, less, CPU)


def test_a_run_can_begin_with_the_weights_of_another_and_its_log_goes_on(tmp_path, digits):
    finish(Run.start(tmp_path / "one", UNET, CPU), digits)
    weights = tmp_path / "one" / "weights.safetensors"
    settings = dataclasses.replace(UNET, start_from=str(weights))
    run = Run.start(tmp_path / "two", settings, CPU)
    first = load_checkpoint(weights)
    assert same(run.state.model, first.model) and same(run.state.ema, first.model)
    assert not same(run.state.model, Run(tmp_path, UNET, CPU).state.model)

    interrupted(tmp_path / "three", settings, digits, 3)
    finish(Run.resume(tmp_path / "three", settings, CPU), digits)
    finish(run, digits)
    whole, resumed = (
        load_checkpoint(tmp_path / name / "weights.safetensors") for name in ("two", "three")
    )
    assert same(whole.model, resumed.model)
    for log in (whole.log, resumed.log):
        assert [e["epoch"] for e in log] == [1, 2, 3, 4]
        assert [e["images_seen"] for e in log] == [40, 80, 120, 160]
        assert log[:2] == first.log
    with pytest.raises(TutorError, match="start_from = "):
        Run.resume(tmp_path / "two", UNET, CPU)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (RunSettings("lean", 32, True), "--network lean --width 64 --conditional"),
        (RunSettings("unet", 64, True), "--network lean --width 64 --conditional"),
        (RunSettings("lean", 64, False), "--network lean --width 64 --conditional"),
    ],
)
def test_weights_of_another_network_are_no_beginning(tmp_path, settings, told):
    settings = dataclasses.replace(settings, start_from=SHIPPED)
    with pytest.raises(OtherNetwork) as refused:
        Run.start(tmp_path / "run", settings, CPU)
    assert with_advice(refused.value).endswith(f"Add: {told}")
    assert not (tmp_path / "run").exists()


def test_images_are_counted_as_they_were_seen_where_a_batch_is_larger_than_the_set(
    tmp_path, digits
):
    settings = dataclasses.replace(UNET, training=TrainingConfig(epochs=2, batch_size=100))
    reports = finish(Run.start(tmp_path, settings, CPU), digits)
    assert [report.images_seen for report in reports] == [44, 88]
    assert reports[0].images_per_second == pytest.approx(44 / reports[0].seconds)


def test_a_finished_run_resumes_to_nothing_left(tmp_path, digits):
    finish(Run.start(tmp_path, UNET, CPU), digits)
    weights = (tmp_path / "weights.safetensors").read_bytes()
    assert finish(Run.resume(tmp_path, UNET, CPU), digits) == []
    assert (tmp_path / "weights.safetensors").read_bytes() == weights


def test_first_weights_come_from_the_seed(tmp_path):
    def first(seed):
        training = dataclasses.replace(TRAINING, seed=seed)
        return Run.start(tmp_path, dataclasses.replace(UNET, training=training), CPU).state.model

    assert same(first(1), first(1))
    assert not same(first(1), first(2))


def test_only_the_first_of_several_processes_writes(tmp_path, digits):
    reports = list(Run.start(tmp_path / "run", UNET, CPU).train(digits, rank=1, world_size=2))
    assert all(isinstance(report, StepReport) for report in reports)
    assert not (tmp_path / "run").exists()


# What is refused


def test_a_folder_that_holds_a_run_is_not_started_in(tmp_path, digits):
    finish(Run.start(tmp_path, UNET, CPU), digits)
    before = (tmp_path / "state.pt").read_bytes()
    with pytest.raises(RunExists) as refused:
        Run.start(tmp_path, UNET, CPU)
    assert "--resume" in with_advice(refused.value)
    assert (tmp_path / "state.pt").read_bytes() == before


def test_a_folder_without_a_run_is_not_resumed(tmp_path):
    with pytest.raises(TutorError, match="No run to resume"):
        Run.resume(tmp_path, UNET, CPU)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"width": 8}, "width = 4"),
        ({"conditional": False}, "conditional = True"),
        ({"network": "lean", "width": 32}, "network = unet"),
        ({"training": dataclasses.replace(TRAINING, lr=1e-4)}, "lr = 0.001"),
        ({"training": dataclasses.replace(TRAINING, seed=5)}, "seed = 0"),
    ],
    ids=["width", "conditional", "network", "lr", "seed"],
)
def test_other_settings_are_refused_and_the_earlier_ones_told(tmp_path, digits, change, told):
    finish(Run.start(tmp_path, UNET, CPU), digits)
    with pytest.raises(TutorError, match=told):
        Run.resume(tmp_path, dataclasses.replace(UNET, **change), CPU)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file.write_bytes(b""),
        lambda file: file.write_text("state"),
        lambda file: file.write_bytes(file.read_bytes()[:-2000]),
        lambda file: torch.save({"settings": UNET.to_json()}, file),
        lambda file: torch.save([1, 2], file),
    ],
    ids=["empty", "text", "truncated", "incomplete", "something else"],
)
def test_a_damaged_state_is_refused(tmp_path, digits, spoil):
    finish(Run.start(tmp_path, UNET, CPU), digits)
    spoil(tmp_path / "state.pt")
    with pytest.raises(TutorError, match="damaged"):
        Run.resume(tmp_path, UNET, CPU)


class Trap:
    """A pickle that calls a function of its choice when it is loaded."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return (open, (str(self.file), "w"))


def test_code_in_a_state_is_not_run(tmp_path):
    torch.save(
        {"settings": UNET.to_json(), "model": Trap(tmp_path / "sprung")}, tmp_path / "state.pt"
    )
    with pytest.raises(TutorError, match="damaged"):
        Run.resume(tmp_path, UNET, CPU)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(("network", "width"), [("unet", 5), ("lean", 4), ("dit", 64)])
def test_a_network_that_cannot_be_is_refused_before_anything_is_written(tmp_path, network, width):
    with pytest.raises(TutorError):
        Run.start(tmp_path / "run", RunSettings(network, width), CPU)
    assert not (tmp_path / "run").exists()


def test_a_full_disk_is_told_to_the_learner_and_the_last_save_can_be_resumed(tmp_path, digits):
    resource = pytest.importorskip("resource", reason="only Unix limits the size of files")
    interrupted(tmp_path, UNET, digits, steps=3)
    run = Run.resume(tmp_path, UNET, CPU)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))  # weights fit, the state does not
    try:
        with pytest.raises(TutorError, match="Cannot write"):
            finish(run, digits)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert Run.resume(tmp_path, UNET, CPU).state.step == 2


@pytest.mark.parametrize("settings", [UNET, LEAN], ids=["unet", "lean"])
def test_another_device_trains_and_goes_on(tmp_path, digits, settings, device):
    there = torch.device(device)
    interrupted(tmp_path / "there", settings, digits, 3)
    *_, last = finish(Run.resume(tmp_path / "there", settings, there), digits)
    *_, expected = finish(Run.start(tmp_path / "here", settings, CPU), digits)
    assert last.validation.mean == pytest.approx(expected.validation.mean, rel=0.1)


def test_the_log_names_what_computed_and_not_what_else_there_is(device):
    assert "CPU" in machine(CPU) and "CPU" not in machine(torch.device(device))


def test_a_device_that_is_not_here_is_refused_by_name():
    assert choose_device("cpu") == CPU
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(UsageError, match="This machine has"):
        choose_device("abacus")


def exploding(run):
    """The run, its loss made NaN from the third step on."""
    forward = run.state.model.forward
    calls = []

    def broken(*inputs):
        calls.append(inputs)
        return forward(*inputs) * (float("nan") if len(calls) >= 3 else 1)

    run.state.model.forward = broken
    return run


def test_a_nan_stops_the_run_and_names_what_was_saved(tmp_path, digits):
    run = exploding(Run.start(tmp_path, UNET, CPU))  # an epoch has two steps
    with pytest.raises(TutorError, match=r"at step 3 the loss is nan.* step 2") as raised:
        finish(run, digits)
    assert "--lr, such as 0.0001" in with_advice(raised.value)
    weights = load_checkpoint(tmp_path / "weights.safetensors").model.state_dict()
    assert all(tensor.isfinite().all() for tensor in weights.values())
    assert Run.resume(tmp_path, UNET, CPU).state.step == 2


@pytest.mark.slow
def test_a_learning_rate_that_is_far_too_large_stops_the_run(tmp_path, digits):
    training = dataclasses.replace(TRAINING, lr=1.0, epochs=200, lr_schedule="constant")
    run = Run.start(tmp_path, dataclasses.replace(LEAN, training=training), CPU)
    with pytest.raises(TutorError, match="has diverged"):
        finish(run, digits)


# Too little memory


@pytest.mark.parametrize(("room", "told"), [(10, "--batch-size 10"), (0, "a smaller --width")])
def test_too_little_memory_for_a_step_says_what_would_fit(tmp_path, digits, room, told):
    run = Run.start(tmp_path, UNET, CPU)
    forward = run.state.model.forward

    def small(x_t, *inputs):
        if len(x_t) > room:
            raise RuntimeError("CUDA out of memory")
        return forward(x_t, *inputs)

    run.state.model.forward = small
    with pytest.raises(TutorError, match="on cpu for width 4 and batches of 20") as raised:
        finish(run, digits)
    assert told in with_advice(raised.value)


def test_a_gradient_that_is_not_finite_stops_the_run_before_it_spoils_the_weights(tmp_path, digits):
    run = Run.start(tmp_path, UNET, CPU)
    weight = next(run.state.model.parameters())
    weight.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(TutorError, match="at step 1 the gradient's norm is"):
        finish(run, digits)
    assert all(value.isfinite().all() for value in run.state.model.state_dict().values())


def test_a_run_folder_that_cannot_be_written_to_is_said(tmp_path, monkeypatch):
    run = Run.start(tmp_path, UNET, CPU)

    def refuse(*words, **named):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("ddpm_tutor.storage.training_run.FileLock.acquire", refuse)
    with pytest.raises(TutorError, match="Permission denied"), run.exclusive():
        pass


# Whose digits


def other(digits, **change):
    return dataclasses.replace(digits, **change)


def test_other_digits_of_the_same_number_are_not_gone_on_with(tmp_path, digits):
    interrupted(tmp_path, UNET, digits, steps=3)  # saved after the second
    images, labels = digits.train_images.clone(), digits.train_labels
    images[-1, 0, 9, 9] += 1
    for changed in ({"train_images": images}, {"train_labels": labels.flip(0)}):
        run = Run.resume(tmp_path, UNET, CPU)
        with pytest.raises(TutorError, match="started on other images or labels") as raised:
            finish(run, other(digits, origin="Fashion", **changed))
        told = with_advice(raised.value)
        assert "Fashion" in told and "--data" in told
    assert len(finish(Run.resume(tmp_path, UNET, CPU), digits)) == 1


def test_the_fingerprint_of_as_many_digits_as_mnist_has_takes_no_time():
    labels, images = torch.zeros(55_000, dtype=torch.long), torch.zeros(55_000, 1, 32, 32).byte()
    seconds = timeit.timeit(
        lambda: Digits(images, labels, images[:1], labels[:1], "zeros").fingerprint, number=1
    )
    assert seconds < 2


def test_labels_that_the_network_does_not_know_are_refused(tmp_path, digits):
    letters = other(digits, train_labels=digits.train_labels + 17)
    run = Run.start(tmp_path, UNET, CPU)
    with pytest.raises(TutorError, match="The labels go from 3 to 26; the network knows 0 to 9"):
        finish(run, letters)
    assert list(tmp_path.iterdir()) == []
    unlabelled = dataclasses.replace(UNET, conditional=False)
    assert len(finish(Run.start(tmp_path, unlabelled, CPU), letters)) == 2


def test_a_run_of_an_earlier_version_goes_on(tmp_path, digits):
    """The archive was written before states had a fingerprint: UNET, stopped at step 3 of 4.

    Its weights were rounded, so that it packs well.
    """
    with tarfile.open(Path(__file__).with_name("earlier_run.tar.xz")) as archive:
        archive.extractall(tmp_path, filter="data")
    settings = dataclasses.replace(UNET, training=dataclasses.replace(TRAINING, epochs=3))
    run = Run.resume(tmp_path, settings, CPU)
    assert run.state.step == 3 and len(run.losses) == 1 and run.fingerprint is None
    assert [report.epoch for report in run.history] == [1]
    with run.exclusive():
        assert [report.epoch for report in finish(run, digits)] == [2, 3]
    assert run.state.step == 6
    assert Run.resume(tmp_path, settings, CPU).fingerprint == digits.fingerprint
    assert load_checkpoint(tmp_path).training["log"][0]["machine"].startswith("x86_64 CPU")


def test_the_words_and_names_of_an_earlier_version_are_read(tmp_path, digits):
    """Settings said "one-cycle" and "middle", and Muon kept an "average" and a "square"."""
    training = dataclasses.replace(LEAN.training, weighting="logit-normal")
    settings = dataclasses.replace(LEAN, training=training)
    run = Run.start(tmp_path / "then", settings, CPU)
    for report in run.train(digits):
        if isinstance(report, StepReport) and report.step == 3:
            break
    run.save()
    state = torch.load(run.state_file, weights_only=True)
    words = {'"cosine"': '"one-cycle"', '"logit-normal"': '"middle"'}
    for word, earlier in words.items():
        assert word in state["settings"]
        state["settings"] = state["settings"].replace(word, earlier)
    names = {"momentum_buffer": "average", "exp_avg": "average", "exp_avg_sq": "square"}
    for kept in state["optimizer"]["state"].values():
        renamed = {names.get(name, name): value for name, value in kept.items()}
        kept.clear()
        kept.update(renamed)
    assert "average" in str(state["optimizer"]) and "exp_avg" not in str(state["optimizer"])
    torch.save(state, run.state_file)

    resumed = Run.resume(tmp_path / "then", settings, CPU)
    through = Run.start(tmp_path / "through", settings, CPU)
    assert len(finish(resumed, digits)) == 1 and len(finish(through, digits)) == 2
    assert same(resumed.state.model, through.state.model)
    assert same(resumed.state.ema, through.state.ema)


# A run that has come to no step is in nobody's way


def test_a_run_without_a_step_can_be_started_again_with_other_settings(tmp_path, digits):
    Run.start(tmp_path, UNET, CPU).save()  # then it failed, or was killed
    assert Run.resume(tmp_path, UNET, CPU).state.step == 0
    run = Run.start(tmp_path, LEAN, CPU)
    with run.exclusive():
        assert len(finish(run, digits)) == 2
    with pytest.raises(TutorError, match="already holds a run"):
        Run.start(tmp_path, UNET, CPU)


def test_weights_alone_are_not_written_over(tmp_path, network):
    save_checkpoint(tmp_path / "weights.safetensors", network, {})
    with pytest.raises(TutorError, match=r"already holds weights\.safetensors"):
        Run.start(tmp_path, UNET, CPU)


def test_a_damaged_state_is_not_written_over(tmp_path):
    (tmp_path / "state.pt").write_bytes(b"half of a state")
    with pytest.raises(TutorError, match="already holds a run"):
        Run.start(tmp_path, UNET, CPU)
