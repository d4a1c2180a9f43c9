"""How many threads compute beside other work, and that a digit does not depend on it."""

from collections.abc import Callable, Iterator

import pytest
import torch

from ddpm_tutor.api import (
    SamplingOptions,
    TrainingConfig,
    TrainingState,
    UNet,
    draw,
    last,
    linear_schedule,
    load_checkpoint,
    train,
)
from ddpm_tutor.science import sampling
from ddpm_tutor.science import threads as threads_module
from ddpm_tutor.science.threads import KEEP, plan_of_threads, quickest_threads


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def chosen(threads: int, calls: int, time_of: Callable[[int, int], tuple[float, float]]) -> list:
    """The numbers of threads of so many calls; `time_of(call, threads)` says how long one takes."""
    plan, counts = plan_of_threads(threads), []
    count = next(plan)
    for call in range(calls):
        counts.append(count)
        count = plan.send(time_of(call, count))
    return counts


def test_alone_all_threads_compute_and_nothing_is_tried() -> None:
    assert set(chosen(8, 500, lambda call, count: (1 / count, 1))) == {8}


def test_beside_other_work_the_quickest_number_is_found() -> None:
    counts = chosen(8, 100, lambda call, count: ({8: 9, 4: 2, 1: 3}[count], 1))
    assert max(counts, key=counts.count) == 4 and counts[:4] == [8] * 4


def test_all_threads_compute_again_when_the_other_work_is_over() -> None:
    def time_of(call: int, count: int) -> tuple[float, float]:
        return (5 if count == 2 else 1, 1) if call < 40 else (1 / count, 1)

    counts = chosen(2, 40 + 2 * KEEP, time_of)
    assert counts.count(1) > KEEP and set(counts[-KEEP // 2 :]) == {2}


def test_where_fewer_threads_are_no_quicker_all_go_on() -> None:
    counts = chosen(2, 200, lambda call, count: (2 / count, 1))  # crowded, and yet two are better
    assert counts.count(1) < 20


def test_the_number_of_threads_is_handed_back_after_each_call() -> None:
    torch.set_num_threads(2)
    seen = []

    def idle() -> None:  # it takes no computing at all: as if others had the cores
        seen.append(torch.get_num_threads())
        torch.zeros(1)

    run = quickest_threads(idle)
    for _ in range(20):
        run()
        assert torch.get_num_threads() == 2

    def fail() -> None:
        raise ValueError

    with pytest.raises(ValueError):
        quickest_threads(fail)()
    assert torch.get_num_threads() == 2 and set(seen) <= {1, 2}


@pytest.mark.parametrize("count", [1, 3])
def test_digits_do_not_depend_on_the_number_of_threads(count, monkeypatch) -> None:
    model, schedule, *_ = vars(load_checkpoint()).values()
    drawn = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        monkeypatch.setattr(sampling, "quickest_threads", lambda function: function)
        options = SamplingOptions(steps=5, guidance=1.5)
        states = draw(model, schedule, torch.arange(count), options, seed=0, indices=range(count))
        drawn.append(last(states))
    assert torch.equal(*drawn)


def test_a_training_beside_other_work_is_the_same_up_to_rounding(monkeypatch) -> None:
    torch.set_num_threads(2)
    images = torch.arange(16 * 1024).remainder(256).to(torch.uint8).view(16, 1, 32, 32)
    config = TrainingConfig(epochs=16, batch_size=16, warmup_steps=0)
    weights, used = {}, set()

    def steps() -> torch.Tensor:
        torch.manual_seed(0)
        state = TrainingState.start(UNet(width=4), config)
        for _ in train(state, linear_schedule(), images, None, config):
            pass
        return torch.cat([p.detach().flatten() for p in state.model.parameters()])

    weights["alone"] = steps()
    measure = threads_module.measure

    def no_time(threads: int):  # as if others had the cores
        used.add(threads)
        mean, _ = yield from measure(threads)
        return mean, 0.0

    monkeypatch.setattr(threads_module, "measure", no_time)
    weights["crowded"] = steps()
    assert used == {1, 2}
    assert torch.allclose(weights["alone"], weights["crowded"], atol=1e-3)
