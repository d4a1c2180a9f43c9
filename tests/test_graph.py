"""Recorded work gives what the plain function gives; what is made ahead comes in order."""

import threading

import pytest
import torch

from ddpm_tutor import LeanUNet, TrainingConfig, linear_schedule, load_checkpoint
from ddpm_tutor.science import cuda_graph as graph
from ddpm_tutor.science.cuda_graph import Replay, recorded, replayed
from ddpm_tutor.science.noise import blocks, normal, normals, streams
from ddpm_tutor.science.prefetch import prefetch
from ddpm_tutor.science.sampling import SamplingOptions, draw, last
from ddpm_tutor.science.training import TrainingState, train


def record_here(function, inputs):
    """A recording on the CPU: its inputs and its outputs stay in one place."""
    outputs = function(*inputs)

    def replay():
        for place, output in zip(outputs, function(*inputs), strict=True):
            place.copy_(output)

    return replay, outputs


@pytest.fixture
def recording(monkeypatch):
    """Everything that would be recorded on a CUDA device is recorded here."""
    made = []

    def recorded_here(function):
        def call(*inputs):
            if not made or made[-1][0] is not function:
                made.append((function, recorded(function, inputs, record_here)))
            return made[-1][1](*inputs)

        return call

    for module in ("sampling", "training"):
        monkeypatch.setattr(f"ddpm_tutor.science.{module}.replayed", recorded_here)
    return made


def test_a_replay_gives_new_results_for_new_inputs_and_keeps_the_old_ones():
    replay = Replay(lambda x, y: (x + y, x * y), [torch.zeros(3), torch.zeros(3)], record_here)
    first = replay(torch.tensor([1.0, 2, 3]), torch.ones(3))
    second = replay(torch.tensor([4.0, 5, 6]), torch.full((3,), 2.0))
    assert [v.tolist() for v in first] == [[2, 3, 4], [1, 2, 3]]
    assert [v.tolist() for v in second] == [[6, 7, 8], [8, 10, 12]]


def test_a_recording_that_gives_something_else_is_not_used():
    def wrong(function, inputs):
        return lambda: None, tuple(output + 1 for output in function(*inputs))

    def function(x):
        return (2 * x,)

    assert recorded(function, [torch.ones(3)], wrong) is function
    assert recorded(function, [torch.ones(3)], record_here) is not function


def test_what_cannot_be_recorded_is_called_as_it_is():
    def refuses(function, inputs):
        raise RuntimeError("operation not permitted when stream is capturing")

    def function(x):
        return (2 * x,)

    assert recorded(function, [torch.ones(3)], refuses) is function


def test_where_a_recording_finds_too_little_memory_the_plain_function_goes_on():
    def full(function, inputs):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    def function(x):
        return (x,)

    assert recorded(function, [torch.ones(3)], full) is function

    def too_large(x):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(torch.OutOfMemoryError):  # which the caller answers with smaller batches
        recorded(too_large, [torch.ones(3)], record_here)


def test_a_recording_of_nothing_does_not_pass_for_right():
    def nothing(function, inputs):
        return lambda: None, function(*inputs)  # the first results stay, whatever comes

    def function(x):
        return (2 * x,)

    assert recorded(function, [torch.ones(3)], nothing) is function


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_on_a_cuda_device_steps_are_really_recorded(monkeypatch, digits, optimizer):
    made = []

    def kept(function, inputs, record):
        made.append(recorded(function, inputs, record))
        return made[-1]

    monkeypatch.setattr(graph, "recorded", kept)
    model = load_checkpoint(device="cuda").model
    thirty = SamplingOptions(steps=30, guidance=1.5)
    last(draw(model, linear_schedule(), torch.tensor([7]), thirty, seed=0, indices=[0]))
    assert len(made) == 2 and all(isinstance(one, Replay) for one in made)
    config = TrainingConfig(epochs=1, batch_size=8, optimizer=optimizer, weighting="logit-normal")
    state = TrainingState.start(LeanUNet(32, 10).cuda(), config)
    list(train(state, linear_schedule(), digits.train_images, digits.train_labels, config))
    assert len(made) == 3 and isinstance(made[-1], Replay)


def test_on_a_cpu_nothing_is_recorded(monkeypatch):
    monkeypatch.setattr(graph, "record_on_cuda", None)
    calls = []
    function = replayed(lambda x: (calls.append(1) or x,))
    for _ in range(3):
        function(torch.ones(1))
    assert len(calls) == 3


@pytest.mark.parametrize("how", [{}, {"guidance": 2.0}, {"method": "ddim"}, {"steps": 27}])
def test_a_recorded_chain_draws_the_same_digits(recording, how, in_float32):
    model, labels = load_checkpoint().model, torch.tensor([3, 7])
    options = SamplingOptions(**{"steps": 20} | how)

    def drawn():
        states = list(draw(model, linear_schedule(), labels, options, seed=0, indices=[0, 1]))
        # kept until the end: none may be overwritten by a later one
        return torch.stack([v for state in states for v in state[1:]])

    with_recording = drawn()
    assert recording and all(isinstance(made, Replay) for _, made in recording)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ddpm_tutor.science.sampling.replayed", lambda function: function)
        torch.testing.assert_close(with_recording, drawn())


def test_a_learners_equations_are_never_recorded(recording):
    from ddpm_tutor.science.sampling import Equations

    ours = Equations(p_step=lambda schedule, x_t, t, eps, z, variance: x_t)
    model, two = load_checkpoint().model, SamplingOptions(steps=2)
    chain = draw(model, linear_schedule(), None, two, seed=0, indices=[0], equations=ours)
    last(chain)
    assert not recording


@pytest.mark.parametrize("weighting", ["simple", "logit-normal", "vlb"])
@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_a_recorded_training_leads_to_the_same_weights(recording, digits, weighting, optimizer):
    config = TrainingConfig(epochs=2, batch_size=8, weighting=weighting, optimizer=optimizer)

    def trained():
        torch.manual_seed(0)
        state = TrainingState.start(LeanUNet(32, 10), config)
        steps = train(state, linear_schedule(), digits.train_images, digits.train_labels, config)
        losses = [report.loss for report in steps]
        return losses, torch.cat([p.flatten() for p in state.model.parameters()])

    losses, weights = trained()
    assert len(recording) == 1 and isinstance(recording[0][1], Replay)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ddpm_tutor.science.training.replayed", lambda function: function)
        plain_losses, plain_weights = trained()
    assert losses == plain_losses and torch.equal(weights, plain_weights)


def test_things_made_ahead_come_in_order_and_in_another_thread():
    makers = []

    def made():
        for i in range(5):
            makers.append(threading.current_thread())
            yield i

    assert list(prefetch(made())) == list(range(5))
    assert threading.main_thread() not in makers


def test_no_more_is_made_ahead_than_asked_for():
    made = []
    items = prefetch((made.append(i) or i for i in range(100)), count=2)
    assert next(items) == 0
    items.close()
    assert len(made) <= 3


def test_an_error_comes_where_its_item_would():
    def broken():
        yield 1
        raise ValueError("no second one")

    items = prefetch(broken())
    assert next(items) == 1
    with pytest.raises(ValueError, match="no second one"):
        next(items)


@pytest.mark.parametrize("generator", ["none", "one", "each"])
@pytest.mark.parametrize("count", [1, 5, 6000])
def test_noise_drawn_in_blocks_is_that_drawn_step_by_step(generator, count):
    shape = (2, 1, 4, 8)

    def fresh():
        torch.manual_seed(3)
        kinds = {
            "none": None,
            "one": torch.Generator().manual_seed(3),
            "each": streams(3, "z", [0, 1]),
        }
        return kinds[generator]

    in_blocks = list(blocks(shape, fresh(), count))
    source = fresh()
    one_by_one = torch.stack([normal(shape, source, "cpu") for _ in range(count)])
    assert torch.equal(torch.cat(in_blocks), one_by_one)
    source = fresh()
    assert torch.equal(torch.stack(list(normals(shape, source, "cpu", count))), one_by_one)


def test_blocks_stay_small(monkeypatch):
    monkeypatch.setattr("ddpm_tutor.science.noise.BLOCK_SIZE", 4 * 2048)
    assert [len(block) for block in blocks((2, 1, 32, 32), None, 10)] == [4, 4, 2]
