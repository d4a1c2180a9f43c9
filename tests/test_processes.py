"""Several processes for one command: only where torchrun started them, and not for ever."""

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from ddpm_tutor.cli import processes
from ddpm_tutor.cli.app import app

NAMES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
         "TORCHELASTIC_RUN_ID", "TORCHELASTIC_USE_AGENT_STORE")  # fmt: skip
SAMPLE = ["sample", "--digit", "3", "-n", "1", "--steps", "1", "--device", "cpu"]
Sample = Callable[..., tuple[int, str]]


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sample:
    """Runs `ddpm-tutor sample` with these variables; its exit code and what it said."""
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)

    def run(**variables: str) -> tuple[int, str]:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        done = CliRunner().invoke(app, SAMPLE)
        return done.exit_code, done.output

    return run


MASTER = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
OF_A_CLUSTER = {
    "a rank": {"RANK": "1"},
    "a number of processes": {"WORLD_SIZE": "4"},
    "empty ones": {"RANK": "", "WORLD_SIZE": "", "LOCAL_RANK": ""},
    "all but torchrun's": {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "3", **MASTER},
}


@pytest.mark.parametrize("variables", OF_A_CLUSTER.values(), ids=OF_A_CLUSTER)
def test_variables_of_a_cluster_change_nothing(
    sample: Sample, tmp_path: Path, variables: dict[str, str]
) -> None:
    code, said = sample(**variables)
    assert code == 0 and "Saved: samples.png" in said
    assert (tmp_path / "samples.png").stat().st_size > 100


BROKEN = [
    {},
    {"RANK": "0", "WORLD_SIZE": ""},
    {"RANK": "one", "WORLD_SIZE": "2"},
    {"RANK": "2", "WORLD_SIZE": "2"},
]


@pytest.mark.parametrize("variables", BROKEN)
def test_variables_of_torchrun_that_make_no_sense_are_named(
    sample: Sample, variables: dict[str, str]
) -> None:
    code, said = sample(TORCHELASTIC_RUN_ID="7", **variables)
    assert code == 2 and "TORCHELASTIC_RUN_ID" in said and "Unexpected" not in said
    assert f"WORLD_SIZE={variables.get('WORLD_SIZE')}" in said and len(said.splitlines()) == 2


@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_process_that_waits_in_vain_says_so_in_the_end(
    sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: str
) -> None:
    monkeypatch.setattr(processes, "TIMEOUT", timedelta(seconds=1))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    variables = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "MASTER_PORT": port}
    code, said = sample(TORCHELASTIC_RUN_ID="7", MASTER_ADDR="127.0.0.1", **variables)
    assert code == 1 and "Not all of the 2 processes" in said and "within 1 s" in said
    assert not (tmp_path / "samples.png").exists()


@pytest.mark.parametrize(
    ("gpus", "local_rank", "here", "expected"),
    [
        (1, 0, 1, (0, "nccl")),
        (1, 1, 2, (0, "gloo")),
        (4, 3, 4, (3, "nccl")),
        (4, 5, 8, (1, "gloo")),
    ],
)
def test_processes_share_the_gpus_that_there_are(
    monkeypatch: pytest.MonkeyPatch,
    gpus: int,
    local_rank: int,
    here: int,
    expected: tuple[int, str],
) -> None:
    monkeypatch.setenv("LOCAL_RANK", str(local_rank))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(here))
    assert processes.gpu_of(gpus, local_rank + 16, 32) == expected


def test_all_take_gloo_where_one_has_to(monkeypatch: pytest.MonkeyPatch) -> None:
    store = torch.distributed.HashStore()
    monkeypatch.setattr(torch.distributed, "rendezvous", lambda *w, **n: iter([(store, 0, 2)]))
    with ThreadPoolExecutor(2) as two:
        wanted = two.map(processes.rendezvous, (0, 1), (2, 2), ("nccl", "gloo"))
        assert [backend for _, backend in wanted] == ["gloo", "gloo"]
