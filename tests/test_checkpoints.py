"""Weights on disk: what is saved comes back, and nothing else is taken for weights."""

import json
import os
import pickle
import subprocess
import sys

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ddpm_tutor.errors import TutorError
from ddpm_tutor.science.unet import UNet
from ddpm_tutor.storage.checkpoints import (
    build_network,
    load_checkpoint,
    save_checkpoint,
    shipped_weights,
    weights_file,
)


@pytest.fixture
def saved(tmp_path, network):
    """A checkpoint of the tiny network."""
    save_checkpoint(tmp_path / "weights.safetensors", network, {"epochs": 3})
    return tmp_path / "weights.safetensors"


def inputs():
    x_t = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    return x_t, torch.tensor([3, 700]), torch.tensor([4, 9])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["unet", "lean"])
def test_loading_draws_no_numbers_and_does_not_wait_for_the_compiler(tmp_path, name):
    save_checkpoint(tmp_path / "w.safetensors", build_network(name, 32, 10), {})
    program = (
        "import sys, torch\n"
        "from pathlib import Path\n"
        "from ddpm_tutor.storage.checkpoints import load_checkpoint\n"
        "before = torch.get_rng_state()\n"
        "load_checkpoint(Path(sys.argv[1]))\n"
        "print(torch.equal(before, torch.get_rng_state()), 'torch._dynamo' in sys.modules)\n"
    )
    command = [sys.executable, "-c", program, tmp_path / "w.safetensors"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stdout.split() == [b"True", b"False"]


@pytest.mark.parametrize("num_classes", [None, 10])
@pytest.mark.parametrize(("name", "width"), [("unet", 8), ("lean", 32)])
@torch.no_grad()
def test_a_network_comes_back_as_it_was(tmp_path, name, width, num_classes):
    model = build_network(name, width, num_classes)
    for weight in model.parameters():  # no zeros of a fresh network
        weight += 0.05 * torch.randn_like(weight)
    save_checkpoint(tmp_path / "w.safetensors", model, {})
    loaded = load_checkpoint(tmp_path / "w.safetensors")
    assert type(loaded.model) is type(model)
    assert (loaded.model.width, loaded.model.num_classes) == (width, num_classes)
    assert loaded.conditional is (num_classes is not None)
    ours, theirs = loaded.model.state_dict(), model.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    # other memory format, other order of sums
    x_t, t, label = inputs()
    given = (x_t, t, label if num_classes else None)
    assert torch.allclose(loaded.model(*given), model.eval()(*given), atol=1e-4)


def test_loaded_weights_are_ready_to_draw(saved):
    model = load_checkpoint(saved).model
    assert not model.training
    assert not any(weight.requires_grad for weight in model.parameters())


def test_training_record_and_schedule_travel_with_the_weights(tmp_path, network):
    file = tmp_path / "w.safetensors"
    save_checkpoint(file, network, {"losses": [0.1, 0.03]}, linear_beta=(50, 1e-3, 0.3))
    loaded = load_checkpoint(file)
    assert loaded.training == {"losses": [0.1, 0.03]}
    assert loaded.schedule.T == 50
    assert loaded.schedule.beta[50].item() == pytest.approx(0.3)


def test_the_schedule_is_the_papers_where_none_is_said(saved, schedule):
    assert torch.equal(load_checkpoint(saved).schedule.alpha_bar, schedule.alpha_bar)


def test_half_is_half_the_size_and_loads_as_float32(tmp_path, saved, network):
    file = tmp_path / "half.safetensors"
    save_checkpoint(file, network, {}, half=True)
    assert sum(t.nbytes for t in load_file(file).values()) * 2 == sum(
        t.nbytes for t in load_file(saved).values()
    )
    model = load_checkpoint(file).model
    for (name, half), whole in zip(model.named_parameters(), network.parameters(), strict=True):
        assert half.dtype == torch.float32, name
        torch.testing.assert_close(half, whole.detach(), rtol=1e-3, atol=1e-6)


def test_saving_leaves_the_network_as_it_is(tmp_path, network):
    save_checkpoint(tmp_path / "w.safetensors", network, {}, half=True)
    assert all(w.dtype == torch.float32 and w.requires_grad for w in network.parameters())


# What is refused


def test_weights_that_are_not_there_are_an_error_that_says_how_to_get_some(tmp_path):
    with pytest.raises(TutorError, match="ddpm-tutor train"):
        load_checkpoint(tmp_path / "none.safetensors")


def test_a_folder_is_no_checkpoint(tmp_path):
    with pytest.raises(TutorError):
        load_checkpoint(tmp_path)


def rewritten(saved, change_config=None, change_tensors=None, drop=None, **change):
    """The checkpoint with something changed that a stranger's file could hold."""
    with safe_open(saved, framework="pt") as file:
        metadata = file.metadata() | change
    tensors = load_file(saved)
    if change_config:
        metadata["config"] = json.dumps(json.loads(metadata["config"]) | change_config)
    if change_tensors:
        change_tensors(tensors)
    if drop:
        del metadata[drop]
    save_file(tensors, saved, metadata)


WRONG = {
    "empty": lambda file: file.write_bytes(b""),
    "text": lambda file: file.write_text("These are my weights.\n" * 50),
    "truncated": lambda file: file.write_bytes(file.read_bytes()[:-1000]),
    "cut in the header": lambda file: file.write_bytes(file.read_bytes()[:100]),
    "other tensors, no metadata": lambda file: save_file({"w": torch.ones(3)}, file),
    "no format": lambda file: rewritten(file, drop="format"),
    "no configuration": lambda file: rewritten(file, drop="config"),
    "no training record": lambda file: rewritten(file, drop="training"),
    "wider than it says": lambda file: rewritten(file, {"width": 8}),
    "other network": lambda file: rewritten(file, {"network": "lean", "width": 32}),
    "unknown network": lambda file: rewritten(file, {"network": "diffusers"}),
    "impossible width": lambda file: rewritten(file, {"width": 5}),
    "impossible schedule": lambda file: rewritten(file, {"linear_beta": [10, 0.1, 2.0]}),
    "no labels": lambda file: rewritten(file, {"num_classes": None}),
    "a tensor short": lambda file: rewritten(file, change_tensors=lambda t: t.pop("out.bias")),
    "a tensor more": lambda file: rewritten(
        file, change_tensors=lambda t: t.update(extra=torch.ones(3))
    ),
    "a tensor of another shape": lambda file: rewritten(
        file, change_tensors=lambda t: t.update({"out.bias": torch.ones(3)})
    ),
    "a weight that is NaN": lambda file: rewritten(
        file, change_tensors=lambda t: t["out.bias"].fill_(float("nan"))
    ),
    "an infinite weight": lambda file: rewritten(
        file, change_tensors=lambda t: t["out.bias"].fill_(float("-inf"))
    ),
    "a million channels": lambda file: rewritten(file, {"width": 10**6}),
    "a billion labels": lambda file: rewritten(file, {"num_classes": 10**9}),
    "a billion steps": lambda file: rewritten(file, {"linear_beta": [10**9, 1e-4, 0.02]}),
    "a schedule of words": lambda file: rewritten(file, {"linear_beta": ["T", "a", "b"]}),
    "a width of words": lambda file: rewritten(file, {"width": "wide"}),
    "a gigantic header": lambda file: file.write_bytes(
        (10**15).to_bytes(8, "little") + file.read_bytes()[8:]
    ),
    "a long header": lambda file: file.write_bytes(
        (20_000_000).to_bytes(8, "little") + b'{"__metadata__":{"training":"' + b"[" * 20_000_000
    ),
    "training record not an object": lambda file: rewritten(file, training="[]"),
    "thousands of labels": lambda file: save_checkpoint(file, UNet(4, 2000), {}),
    "a negative width": lambda file: rewritten(file, {"width": -4}),
    "a header of brackets": lambda file: file.write_bytes(
        (10**6).to_bytes(8, "little") + b"[" * 10**6
    ),
}


@pytest.mark.parametrize("spoil", WRONG.values(), ids=WRONG)
def test_a_file_that_is_no_checkpoint_is_refused_in_two_lines(saved, spoil):
    spoil(saved)
    with pytest.raises(TutorError, match="is not a checkpoint of ddpm-tutor") as refused:
        load_checkpoint(saved)
    assert len(str(refused.value).splitlines()) == 2
    assert str(saved) in str(refused.value)


class Trap:
    """What a malicious pickle is: it calls a function of its choice when it is loaded."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return (open, (str(self.file), "w"))


@pytest.mark.parametrize("write", [pickle.dump, torch.save], ids=["pickle", "torch"])
def test_code_in_a_pickle_is_not_run(tmp_path, write):
    file = tmp_path / "weights.safetensors"
    with open(file, "wb") as opened:
        write({"weights": Trap(tmp_path / "sprung")}, opened)
    with pytest.raises(TutorError, match="is not a checkpoint"):
        load_checkpoint(file)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(("name", "width"), [("unet", 6), ("lean", 48), ("diffusers", 64)])
def test_a_network_that_cannot_be_built_is_an_error_for_the_learner(name, width):
    with pytest.raises(TutorError):
        build_network(name, width, None)


# When saving fails


def test_a_training_record_that_cannot_be_saved_leaves_the_old_weights(saved, network):
    before = saved.read_bytes()
    with pytest.raises(TypeError):
        save_checkpoint(saved, network, {"loss": torch.ones(1)})
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_a_full_disk_leaves_the_old_weights_and_is_told_to_the_learner(saved, network):
    resource = pytest.importorskip("resource", reason="only Unix limits the size of files")
    before = saved.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # no file may grow past 1,000 bytes
    try:
        with pytest.raises(TutorError, match="Cannot write"):
            save_checkpoint(saved, network, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


# Files from strangers, by the thousand


@pytest.fixture(scope="module")
def bytes_of_a_checkpoint(tmp_path_factory):
    file = tmp_path_factory.mktemp("whole") / "weights.safetensors"
    save_checkpoint(file, UNet(4, 10), {"log": []})
    return file.read_bytes()


def refused_or_sound(file):
    """Loads a file: what comes is a network, or the error that is meant for the learner."""
    try:
        loaded = load_checkpoint(file)
    except TutorError as error:
        assert 1 <= len(str(error).splitlines()) <= 2
        return
    assert all(tensor.isfinite().all() for tensor in loaded.model.state_dict().values())


FUZZ = settings(
    max_examples=int(os.environ.get("DDPM_TUTOR_FUZZ", "60")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@FUZZ
@given(place=st.integers(0, 5000), byte=st.integers(0, 255), end=st.integers(0, 4000))
def test_flipped_and_missing_bytes(tmp_path, bytes_of_a_checkpoint, place, byte, end):
    spoiled = bytearray(bytes_of_a_checkpoint[: len(bytes_of_a_checkpoint) - end])
    spoiled[place] ^= byte
    file = tmp_path / "spoiled.safetensors"
    file.write_bytes(spoiled)
    refused_or_sound(file)


@FUZZ
@given(content=st.binary(max_size=300))
def test_any_bytes_at_all(tmp_path, content):
    file = tmp_path / "any.safetensors"
    file.write_bytes(content)
    with pytest.raises(TutorError):
        load_checkpoint(file)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
FIELDS = st.sampled_from(["network", "width", "num_classes", "linear_beta"])


@pytest.mark.slow
@FUZZ
@given(change=st.dictionaries(FIELDS, JSON, min_size=1))
def test_any_configuration(tmp_path, bytes_of_a_checkpoint, change):
    file = tmp_path / "other.safetensors"
    file.write_bytes(bytes_of_a_checkpoint)
    rewritten(file, change)
    refused_or_sound(file)


@FUZZ
@given(metadata=st.dictionaries(st.sampled_from(["format", "config", "training"]), st.text()))
def test_any_metadata(tmp_path, metadata):
    file = tmp_path / "other.safetensors"
    save_file({"w": torch.ones(1)}, file, metadata)
    refused_or_sound(file)


def test_a_huge_file_is_refused_before_it_is_read(saved):
    """100 GB of holes, and a header that says it is one tensor of the network."""
    with safe_open(saved, framework="pt") as file:
        metadata = file.metadata()
    size = 10**11
    header = {"__metadata__": metadata}
    header["out.bias"] = {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}
    text = json.dumps(header).encode()
    saved.write_bytes(len(text).to_bytes(8, "little") + text)
    try:
        os.truncate(saved, 8 + len(text) + size)
    except OSError as error:
        pytest.skip(f"no such large file here: {error}")
    with pytest.raises(TutorError, match="is not a checkpoint"):
        load_checkpoint(saved)


def test_what_is_no_file_is_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
    for name in ("folder", "pipe", "nowhere", "missing"):
        with pytest.raises(TutorError, match="No weights at"):
            load_checkpoint(tmp_path / name)


def test_the_folder_of_a_run_stands_for_its_weights(tmp_path, network):
    file = tmp_path / "weights.safetensors"
    save_checkpoint(file, network, {})
    assert weights_file(tmp_path) == weights_file(file) == file
    assert weights_file() == shipped_weights()
    loaded = load_checkpoint(tmp_path).model.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in network.state_dict().items())


def test_a_folder_without_weights_is_refused_in_a_line(tmp_path):
    (tmp_path / "state.pt").touch()
    with pytest.raises(TutorError, match=r"holds no weights\.safetensors") as raised:
        load_checkpoint(tmp_path)
    assert str(tmp_path) in str(raised.value) and "\n" not in str(raised.value)
