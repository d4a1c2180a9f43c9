"""The digits: their numbers, where they come from, and networks that misbehave."""

import gzip
import hashlib
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from torchvision.datasets import MNIST
from typer.testing import CliRunner

from ddpm_tutor.cli.advice import with_advice
from ddpm_tutor.cli.app import app
from ddpm_tutor.cli.info import data_found
from ddpm_tutor.errors import TutorError
from ddpm_tutor.science.pixels import pad_to_32, to_uint8, to_unit_range
from ddpm_tutor.storage import digits as digits_module
from ddpm_tutor.storage import film_strip
from ddpm_tutor.storage import mnist_download as download
from ddpm_tutor.storage.digits import find_mnist, load_digits, load_offline_digits, split
from ddpm_tutor.storage.mnist_download import download_mnist
from ddpm_tutor.storage.mnist_files import read_training_files

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_FILES = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def unlike(count):
    """Images of which no two are alike: image i spells out i in its first two pixels."""
    images = torch.zeros(count, 28, 28, dtype=torch.uint8)
    images[:, 0, 0], images[:, 0, 1] = torch.arange(count) // 256, torch.arange(count) % 256
    images[:, 10:18, 10:18] = 200
    return images, torch.arange(count) % 10


def which(images):
    """The i of images made by `unlike`, after they were padded."""
    return (images[:, 0, 2, 2].long() * 256 + images[:, 0, 2, 3]).tolist()


def idx(array):
    """MNIST's own format: two zeros, the type, the number of axes, their lengths, the bytes."""
    array = np.asarray(array, dtype=np.uint8)
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_mnist(root, count=24, test_files=True):
    """A torchvision root with `count` training images."""
    images, labels = unlike(count)
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, array in ((IMAGES, images), (LABELS, labels)):
        (raw / name).write_bytes(idx(array))
    if test_files:
        for name in TEST_FILES:
            (raw / name).write_bytes(idx(np.zeros(0)))
    return raw


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """A machine with no MNIST and no mirrors, but with offline digits; gives its cache folder."""
    monkeypatch.delenv("DDPM_TUTOR_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "*")  # the test's own server is asked without one
    monkeypatch.setattr(MNIST, "mirrors", [])
    monkeypatch.setattr(digits_module, "cache_folder", lambda: tmp_path / "cache")
    assets = tmp_path / "assets"
    assets.mkdir()
    images, labels = unlike(36)
    np.savez(assets / "offline_digits.npz", images=images.numpy(), labels=labels.numpy())
    monkeypatch.setattr(digits_module, "bundled", lambda name: tmp_path / name)
    return tmp_path / "cache"


# The numbers


def test_padding_puts_two_background_pixels_around():
    images = torch.full((3, 28, 28), 7, dtype=torch.uint8)
    padded = pad_to_32(images)
    assert padded.shape == (3, 1, 32, 32)
    assert padded.dtype == torch.uint8
    assert torch.equal(padded[:, 0, 2:30, 2:30], images)
    assert padded.sum() == images.sum()  # all else is 0


def test_intensities_0_to_255_become_minus_1_to_1():
    x = to_unit_range(torch.tensor([0, 51, 255], dtype=torch.uint8))
    assert x.dtype == torch.float32
    assert x.tolist() == pytest.approx([-1, -0.6, 1])


def test_every_intensity_comes_back_from_the_unit_range():
    intensities = torch.arange(256).to(torch.uint8)
    assert torch.equal(to_uint8(to_unit_range(intensities)), intensities)


def test_what_is_out_of_range_becomes_black_or_white():
    # uint8 without a clamp would wrap around
    x = torch.tensor([-3.0, -1.01, 1.01, 3.0])
    assert to_uint8(x).tolist() == [0, 0, 255, 255]


# The split


@pytest.mark.parametrize(("count", "held_out"), [(24, 2), (36, 3), (47, 3), (600, 50)])
def test_one_image_in_12_is_held_out(count, held_out):
    digits = split(*unlike(count), "test")
    assert len(digits.validation_images) == len(digits.validation_labels) == held_out
    assert len(digits.train_images) == len(digits.train_labels) == count - held_out


def test_every_image_is_in_one_part_with_its_label():
    digits = split(*unlike(600), "test")
    train, validation = which(digits.train_images), which(digits.validation_images)
    assert sorted(train + validation) == list(range(600))
    assert digits.train_labels.tolist() == [i % 10 for i in train]
    assert digits.validation_labels.tolist() == [i % 10 for i in validation]


def test_the_split_is_the_same_every_time_and_shuffles():
    torch.manual_seed(1)
    first = which(split(*unlike(600), "test").validation_images)
    torch.manual_seed(2)  # nor does it depend on the seed of anything else
    assert which(split(*unlike(600), "test").validation_images) == first
    assert first != sorted(first)


def test_of_class_gives_the_training_images_of_one_digit():
    digits = split(*unlike(600), "test")
    assert all(i % 10 == 7 for i in which(digits.of_class(7)))
    assert len(digits.of_class(7)) == (digits.train_labels == 7).sum()


# Reading MNIST


def test_mnist_is_read_from_a_named_folder(nowhere, tmp_path):
    write_mnist(tmp_path / "root")
    digits = load_digits(tmp_path / "root")
    assert sorted(which(digits.train_images) + which(digits.validation_images)) == list(range(24))
    assert digits.train_labels.dtype == torch.int64
    assert str(tmp_path / "root") in digits.origin


def test_mnist_is_read_from_the_folder_in_the_environment(nowhere, tmp_path, monkeypatch):
    write_mnist(tmp_path / "root")
    monkeypatch.setenv("DDPM_TUTOR_DATA", str(tmp_path / "root"))
    assert str(tmp_path / "root") in load_digits().origin


def test_the_named_folder_goes_before_the_environment_and_that_before_the_cache(
    nowhere, tmp_path, monkeypatch
):
    write_mnist(tmp_path / "named", 24)
    write_mnist(tmp_path / "environment", 36)
    write_mnist(nowhere, 48)
    assert len(load_digits().train_images) == 44
    monkeypatch.setenv("DDPM_TUTOR_DATA", str(tmp_path / "environment"))
    assert len(load_digits().train_images) == 33
    assert len(load_digits(tmp_path / "named").train_images) == 22


def test_the_training_files_alone_are_enough(nowhere, tmp_path):
    # they are all that is used, all that a download fetches, and all that the messages ask for
    write_mnist(tmp_path / "root", test_files=False)
    assert len(load_digits(tmp_path / "root").train_images) == 22


def test_a_named_folder_without_mnist_is_an_error_that_says_what_was_expected(nowhere, tmp_path):
    with pytest.raises(TutorError, match=r"MNIST/raw/train-images-idx3-ubyte") as refused:
        load_digits(tmp_path / "empty")
    assert "DDPM_TUTOR_DATA" in with_advice(refused.value)
    assert len(with_advice(refused.value).splitlines()) <= 2


def test_a_folder_in_the_environment_without_mnist_is_an_error(nowhere, tmp_path, monkeypatch):
    # to go on with the offline digits would hide a typing error
    monkeypatch.setenv("DDPM_TUTOR_DATA", str(tmp_path / "misspelt"))
    with pytest.raises(TutorError, match="misspelt"):
        load_digits()


DAMAGED = {
    "empty": (IMAGES, b""),
    "truncated": (IMAGES, idx(unlike(24)[0])[:-100]),
    "a web page": (IMAGES, b"<html>Log in to this hotel's network</html>" * 100),
    "a header alone, in part": (IMAGES, idx(unlike(24)[0])[:10]),
    "longer than it says": (IMAGES, idx(unlike(24)[0]) + b"x"),
    "packed, and cut short": (IMAGES, gzip.compress(idx(unlike(24)[0]))[:-20]),
    "packed, with other bytes in it": (IMAGES, b"\x1f\x8b" + bytes(range(100))),
    "images in floats": (IMAGES, struct.pack(">HBB3I", 0, 13, 3, 24, 28, 28) + bytes(75264)),
    "an unknown type": (IMAGES, struct.pack(">HBB3I", 0, 10, 3, 24, 28, 28) + bytes(75264)),
    "images of another size": (IMAGES, idx(np.zeros((24, 32, 32)))),
    "labels in place of images": (IMAGES, idx(unlike(24)[1])),
    "no labels": (LABELS, b""),
    "too few labels": (LABELS, idx(unlike(12)[1])),
    "too many labels": (LABELS, idx(unlike(36)[1])),
}


@pytest.mark.parametrize(("name", "content"), DAMAGED.values(), ids=DAMAGED)
def test_damaged_files_are_an_error_that_says_where_they_are(nowhere, tmp_path, name, content):
    raw = write_mnist(tmp_path / "root")
    (raw / name).write_bytes(content)
    with pytest.raises(TutorError, match=r"cannot be used as MNIST: .{10}") as refused:
        load_digits(tmp_path / "root")
    assert str(tmp_path / "root" / "MNIST" / "raw") in with_advice(refused.value)
    assert len(with_advice(refused.value).splitlines()) == 2


# Where the files stand, and what they are called


def dotted(name):
    return name.replace("-idx", ".idx")


def packed_as_downloaded(folder):
    for name in (IMAGES, LABELS):
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
        (folder / name).unlink()


def named_as_by_kaggle(folder):
    for name in (IMAGES, LABELS):
        (folder / name).rename(folder / dotted(name))
        (folder / name).mkdir()  # Kaggle's archive has folders with these names as well


def packed_in_part_and_named_at_random(folder):
    (folder / IMAGES).rename(folder / f"{dotted(IMAGES)}.gz")  # a browser has unpacked it
    (folder / LABELS).write_bytes(gzip.compress((folder / LABELS).read_bytes()))


@pytest.mark.parametrize(
    "rearrange", [packed_as_downloaded, named_as_by_kaggle, packed_in_part_and_named_at_random]
)
@pytest.mark.parametrize("given", ["", "MNIST", "MNIST/raw"])
def test_the_files_are_read_however_they_are_kept(nowhere, tmp_path, rearrange, given):
    write_mnist(tmp_path / "root")
    expected = load_digits(tmp_path / "root")
    rearrange(tmp_path / "root" / "MNIST" / "raw")
    digits = load_digits(tmp_path / "root" / given)
    assert torch.equal(digits.train_images, expected.train_images)
    assert torch.equal(digits.train_labels, expected.train_labels)


def other_labels(labels):
    return idx(np.asarray(labels, dtype=np.uint8))


OTHER_DATA = {
    "EMNIST's letters": ({LABELS: other_labels(np.arange(52) % 26 + 1)}, 52, "1 to 26, as EMNIST"),
    "KMNIST-49": ({LABELS: other_labels(np.arange(98) % 49)}, 98, "labels from 0 to 48"),
    "two kinds": ({LABELS: other_labels(np.arange(24) % 2 + 3)}, 24, "only the labels 3, 4;"),
    "32x32": ({IMAGES: idx(np.zeros((24, 32, 32)))}, 24, "32×32 pixels, not of 28×28"),
    "8x8": ({IMAGES: idx(np.zeros((24, 8, 8)))}, 24, "8×8 pixels"),
    "in colour": ({IMAGES: idx(np.zeros((24, 28, 28, 3)))}, 24, "begins with 00 00 08 04"),
    "of the test files": ({LABELS: other_labels(np.arange(36) % 10)}, 24, "24 images and 36 lab"),
    "few": ({}, 12, "only 12 images"),
    "too much": ({IMAGES: idx(np.zeros((0, 28, 28)))[:4] + b"\xff" * 4 + bytes([0, 0, 0, 28] * 2)},
                 24, "4,294,967,295 images"),
}  # fmt: skip


@pytest.mark.parametrize(("files", "count", "says"), OTHER_DATA.values(), ids=OTHER_DATA)
def test_other_data_in_mnists_place_is_refused_by_what_it_is(nowhere, tmp_path, files, count, says):
    raw = write_mnist(tmp_path / "root", count)
    for name, content in files.items():
        (raw / name).write_bytes(content)
    with pytest.raises(TutorError, match=says) as refused:
        load_digits(tmp_path / "root")
    assert (
        str(raw) in with_advice(refused.value) and len(with_advice(refused.value).splitlines()) == 2
    )


LAYOUTS = {
    "Kaggle": (["train.csv", "test.csv"], r"found test.csv \(a table, as Kaggle"),
    "Hugging Face": (["mnist/train-00000-of-00001.parquet"], r"found mnist/train-0.*Hugging Face"),
    "Keras": (["mnist.npz"], r"found mnist.npz \(NumPy arrays, as Keras"),
    "an archive": (["archive.zip"], "found archive.zip .not unpacked"),
    "FashionMNIST": ([f"FashionMNIST/raw/{IMAGES}", f"FashionMNIST/raw/{LABELS}"],
                     "found FashionMNIST .another data set"),
    "EMNIST": (["EMNIST/raw/emnist-letters-train-images-idx3-ubyte"], "found EMNIST .another"),
    "one of two": ([f"MNIST/raw/{IMAGES}.gz"], f"found MNIST/raw/{IMAGES}.gz .one of the two"),
    "test files": ([f"MNIST/raw/{TEST_FILES[0]}"], "for testing, not for training"),
    "pictures": (["0/1.png", "1/2.png"], "found 0/1.png .a picture"),
    "something": (["a.txt", "b.txt", "c.txt", "d.txt"], "found a.txt, b.txt, c.txt and others"),
    "one too high": ([f"data/MNIST/raw/{IMAGES}", f"data/MNIST/raw/{LABELS}"], "it is in .*/data;"),
    "nothing": ([], "it is empty"),
}  # fmt: skip


@pytest.mark.parametrize(("files", "says"), LAYOUTS.values(), ids=LAYOUTS)
def test_a_folder_without_mnist_is_refused_by_what_is_in_it(nowhere, tmp_path, files, says):
    root = tmp_path / "root"
    root.mkdir()
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    with pytest.raises(TutorError, match=says) as refused:
        load_digits(root)
    assert len(with_advice(refused.value).splitlines()) == 2


def test_a_file_or_nothing_in_place_of_the_folder_is_said(nowhere, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(TutorError, match="it is a file, not a folder"):
        load_digits(tmp_path / "file")
    with pytest.raises(TutorError, match="there is no such folder"):
        load_digits(tmp_path / "misspelt")


def test_only_mnist_itself_is_called_so(mnist_root, nowhere, tmp_path):
    write_mnist(tmp_path / "root")
    assert "in MNIST's format, not MNIST itself, from" in load_digits(tmp_path / "root").origin
    assert load_digits(mnist_root).origin == f"MNIST from {mnist_root}"


def test_torchvision_reads_the_same_arrays(mnist_root):
    from torchvision.datasets.mnist import read_image_file, read_label_file

    raw = mnist_root / "MNIST" / "raw"
    images, labels = read_training_files(raw / IMAGES, raw / LABELS)
    assert torch.equal(torch.from_numpy(images), read_image_file(str(raw / IMAGES)))
    assert torch.equal(torch.from_numpy(labels).long(), read_label_file(str(raw / LABELS)))


TRAIN = "train --network unet --width 4 --batch-size 512 --device cpu --epochs 1 --run-dir run"


@pytest.mark.slow
def test_nothing_is_begun_before_the_data_is_known_to_be_good(
    nowhere, tiny_mnist, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(film_strip, "STEPS", 2)
    labels = tiny_mnist / "MNIST" / "raw" / LABELS
    good = labels.read_bytes()
    labels.write_bytes(other_labels(np.arange(480) % 26 + 1))
    refused = CliRunner().invoke(app, [*TRAIN.split(), "--data", "tiny"])
    assert refused.exit_code == 1 and "labels from 1 to 26" in refused.output
    assert not (tmp_path / "run").exists()
    labels.write_bytes(good)
    done = CliRunner().invoke(app, [*TRAIN.split(), "--data", "tiny"])
    assert done.exit_code == 0 and (tmp_path / "run" / "weights.safetensors").exists(), done.output


# Without torchvision

WITHOUT_LZMA = """
import sys
sys.modules["_lzma"] = None  # as where Python was built without it
from pathlib import Path
from typer.testing import CliRunner
from ddpm_tutor.cli.advice import with_advice
from ddpm_tutor.cli.app import app
from ddpm_tutor.storage.digits import find_mnist, load_digits
assert len(find_mnist(Path("tiny")).train_images) == 440
assert "torchvision" not in sys.modules
print(load_digits().origin)
print(CliRunner().invoke(app, ["info", "--data", "tiny", "--device", "cpu"]).output)
"""


@pytest.mark.slow
def test_only_a_download_needs_torchvision(tiny_mnist, tmp_path):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DDPM_TUTOR")}
    folders = {name: str(tmp_path / name) for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME")}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_LZMA],
        cwd=tmp_path,
        env=environment | folders | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    offline, *shown = done.stdout.splitlines()
    assert "2,000 offline digits" in offline and "torchvision, which knows where" in offline
    (torch_line,) = [line for line in shown if line.startswith("torch ")]
    assert "torchvision cannot be loaded" in torch_line and "lzma" in torch_line
    (data_line,) = [line for line in shown if line.startswith("data ")]
    assert "from tiny" in data_line


@pytest.mark.parametrize(
    "error", [RuntimeError("operator torchvision::nms does not exist"), OSError("libcudart.so.12")]
)
def test_a_torchvision_that_does_not_match_torch_is_said_and_not_the_end(
    nowhere, monkeypatch, error
):
    def fails(name, path=None, target=None):
        if name.startswith("torchvision"):
            raise error

    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Mock(find_spec=fails), *sys.meta_path])
    digits = load_digits()
    assert "36 offline digits" in digits.origin and str(error) in digits.origin


def test_the_real_mnist_is_split_into_55_000_and_5_000(mnist_root):
    digits = load_digits(mnist_root)
    assert digits.train_images.shape == (55_000, 1, 32, 32)
    assert digits.validation_images.shape == (5_000, 1, 32, 32)
    assert digits.train_images.dtype == torch.uint8
    for labels in (digits.train_labels, digits.validation_labels):
        share = torch.bincount(labels, minlength=10) / len(labels)
        assert 0.08 < share.min() < share.max() < 0.12
    assert digits.train_images[:, :, :2].sum() == 0  # the border is background


# Without MNIST


def test_without_mnist_the_offline_digits_stand_in_and_say_so(nowhere):
    digits = load_digits(download=False)
    assert len(digits.train_images) == 33
    assert "36 offline digits" in digits.source
    assert "drawn by our model" in digits.source
    assert torch.equal(digits.train_images, load_offline_digits().train_images)


def test_who_wants_mnist_itself_is_told_why_there_is_none(nowhere):
    with pytest.raises(TutorError, match="switched off") as refused:
        load_digits(download=False, offline=False)
    assert len(with_advice(refused.value).splitlines()) <= 2


# Downloading


@contextmanager
def listening(answer):
    """A server on this machine that gives each connection to `answer`; yields its URL."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)

        def serve():
            while not stop.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                threading.Thread(target=answer, args=(connection, stop), daemon=True).start()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        finally:
            stop.set()
            thread.join()


def says(reply):
    """Answers with these bytes, whatever was asked."""

    def answer(connection, stop):
        with connection:
            connection.recv(10_000)
            connection.sendall(reply)

    return answer


def hangs(connection, stop):
    """Takes the connection and never answers."""
    with connection:
        stop.wait(30)


def drips(connection, stop):
    """Sends a byte now and then: each comes in time, the file never does."""
    with connection:
        connection.recv(10_000)
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        for _ in range(600):  # 30 seconds, so that a client without a deadline ends too
            if stop.wait(0.05):
                break
            try:
                connection.sendall(b"x")
            except OSError:  # the client has gone, as it should
                break


def page(status):
    """A web page in place of the file, as the sign-in of a hotel network sends it."""
    body = b"<html>Log in to this network</html>"
    return says(b"HTTP/1.0 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))


@contextmanager
def mirror(files):
    """A proper web server with these files; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            content = files.get(self.path.removeprefix("/"))
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def packed(monkeypatch):
    """Small training files as a mirror has them; torchvision's md5s are made theirs."""
    images, labels = unlike(24)
    files = {
        f"{IMAGES}.gz": gzip.compress(idx(images)),
        f"{LABELS}.gz": gzip.compress(idx(labels)),
    }
    md5s = [(name, hashlib.md5(content).hexdigest()) for name, content in files.items()]
    missing = [(f"{name}.gz", "0" * 32) for name in TEST_FILES]
    monkeypatch.setattr(MNIST, "resources", md5s + missing)
    return files


def left_behind(root):
    return sorted(path.name for path in root.rglob("*") if path.is_file())


def test_a_download_brings_the_training_files_unpacked(nowhere, packed, monkeypatch):
    told = []
    with mirror(packed) as url:
        monkeypatch.setattr(MNIST, "mirrors", [url])
        download_mnist(nowhere, lambda *sizes: told.append(sizes))
    raw = nowhere / "MNIST" / "raw"
    assert left_behind(nowhere) == [IMAGES, f"{IMAGES}.md5", LABELS, f"{LABELS}.md5"]
    for name in (IMAGES, LABELS):
        assert (raw / name).read_bytes() == gzip.decompress(packed[f"{name}.gz"])
    # the last report for each file is that all of it has come
    sizes = [len(content) for content in packed.values()]
    assert [come for come, total in told if come == total] == sizes
    assert {total for _, total in told} == set(sizes)


def test_digits_are_downloaded_once_and_then_read_from_the_cache(nowhere, packed, monkeypatch):
    with mirror(packed) as url:
        monkeypatch.setattr(MNIST, "mirrors", [url])
        digits = load_digits()
    assert "MNIST" in digits.source
    assert sorted(which(digits.train_images) + which(digits.validation_images)) == list(range(24))
    monkeypatch.setattr(MNIST, "mirrors", [])
    assert torch.equal(load_digits().train_images, digits.train_images)


def test_the_second_mirror_is_asked_when_the_first_has_no_file(nowhere, packed, monkeypatch):
    with mirror({}) as broken, mirror(packed) as sound:
        monkeypatch.setattr(MNIST, "mirrors", [broken, sound])
        download_mnist(nowhere)
    assert left_behind(nowhere) == [IMAGES, f"{IMAGES}.md5", LABELS, f"{LABELS}.md5"]


def test_a_file_with_another_md5_is_refused(nowhere, packed, monkeypatch):
    files = packed | {f"{IMAGES}.gz": gzip.compress(idx(unlike(12)[0]))}
    with mirror(files) as url:
        monkeypatch.setattr(MNIST, "mirrors", [url])
        with pytest.raises(TutorError, match="not MNIST"):
            download_mnist(nowhere)
    assert left_behind(nowhere) == []


def test_a_server_that_never_answers_is_given_up(nowhere, packed, monkeypatch):
    monkeypatch.setattr(download, "CONNECT_SECONDS", 0.5)
    with listening(hangs) as url:
        monkeypatch.setattr(MNIST, "mirrors", [url])
        begun = time.monotonic()
        with pytest.raises(OSError, match="timed out"):
            download_mnist(nowhere)
    assert time.monotonic() - begun < 15  # on a busy machine
    assert left_behind(nowhere) == []


def test_a_server_that_answers_too_slowly_is_given_up(nowhere, packed, monkeypatch):
    monkeypatch.setattr(download, "CONNECT_SECONDS", 0.5)
    monkeypatch.setattr(download, "SLOW_SECONDS", 0.5)
    with listening(drips) as url:
        monkeypatch.setattr(MNIST, "mirrors", [url])
        begun = time.monotonic()
        with pytest.raises(TutorError, match="too slow"):
            download_mnist(nowhere)
        assert time.monotonic() - begun < 15
    assert left_behind(nowhere) == []


MISBEHAVIOUR = {
    "a web page": page(b"200 OK"),
    "404": page(b"404 Not Found"),
    "511": page(b"511 Network Authentication Required"),
    "silence": hangs,
    "hangs up": says(b""),
    "another protocol": says(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "cut short": says(b"HTTP/1.0 200 OK\r\nContent-Length: 5000\r\n\r\nhalf"),
    "cut short in chunks": says(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\nhalf"
    ),
    "a length that is no number": says(b"HTTP/1.0 200 OK\r\nContent-Length: much\r\n\r\nx"),
}


@pytest.mark.parametrize("answer", MISBEHAVIOUR.values(), ids=MISBEHAVIOUR)
def test_whatever_the_network_does_the_offline_digits_stand_in(
    nowhere, packed, monkeypatch, answer
):
    monkeypatch.setattr(download, "CONNECT_SECONDS", 0.3)
    with listening(answer) as url:
        monkeypatch.setattr(MNIST, "mirrors", [url])
        digits = load_digits()
    assert "offline digits" in digits.source
    assert left_behind(nowhere) == []


def test_with_nobody_at_the_other_end_the_offline_digits_stand_in(nowhere, packed, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setattr(MNIST, "mirrors", [f"http://127.0.0.1:{port}/"])
    assert "offline digits" in load_digits().source


@pytest.fixture
def searched(nowhere, monkeypatch):
    """How often the network was asked, and got no answer, for long."""
    asked = []

    def in_vain(root, progress):
        asked.append(root)
        raise TimeoutError("timed out")

    monkeypatch.setattr(digits_module, "download_mnist", in_vain)
    monkeypatch.setattr(digits_module, "LONG_SECONDS", 0)
    return asked


def test_a_long_search_in_vain_is_not_repeated_for_some_hours(nowhere, searched):
    told = []
    assert "no mirror answers" in load_digits(progress=lambda *sizes: told.append(sizes)).origin
    source = load_digits().origin
    assert len(searched) == 1 and told == [(0, 0)]
    file = nowhere / "no_mnist.txt"
    assert "no mirror answers" in source and f"remove {file}" in source
    assert "switched off" in load_digits(download=False).origin
    # a lesson says it in words for everybody, `info` in full
    lesson_3_says = f"{load_digits().source}; on cuda"  # one line of a terminal
    assert "drawn by our model (no MNIST: ddpm-tutor info)" in lesson_3_says
    assert len(lesson_3_says) < 80
    assert "the offline digits for now (no mirror answers" in data_found(None)
    # who trains, who wants MNIST itself, and who does as told: each asks again
    load_digits(ask_again=True)
    with pytest.raises(TutorError):
        load_digits(offline=False)
    file.unlink()
    load_digits()
    assert len(searched) == 4
    hours_ago = time.time() - digits_module.NOT_AGAIN_SECONDS - 1
    os.utime(file, (hours_ago, hours_ago))
    load_digits()
    assert len(searched) == 5


def test_what_fails_at_once_is_tried_each_time(nowhere, searched, monkeypatch):
    monkeypatch.setattr(digits_module, "LONG_SECONDS", 1000)
    for _ in range(2):
        load_digits()
    assert len(searched) == 2 and left_behind(nowhere) == []


def test_who_wants_mnist_itself_is_told_what_the_network_did(nowhere, packed, monkeypatch):
    with listening(page(b"200 OK")) as url:
        monkeypatch.setattr(MNIST, "mirrors", [url])
        with pytest.raises(TutorError, match="something that is not MNIST"):
            load_digits(offline=False)


@pytest.fixture
def served(packed, monkeypatch):
    """The mirror that serves `packed` while the test runs."""
    with mirror(packed) as url:
        monkeypatch.setattr(MNIST, "mirrors", [url])
        yield


@pytest.mark.parametrize("name", (IMAGES, LABELS))
def test_a_cached_file_that_has_changed_is_set_aside_and_fetched_again(nowhere, served, name):
    load_digits()
    file = nowhere / "MNIST" / "raw" / name
    content = bytearray(file.read_bytes())
    content[20] ^= 1
    file.write_bytes(content)
    assert find_mnist() is None
    assert (file.parent / f"{name}.damaged").read_bytes() == content
    assert "offline" not in load_digits().source
    assert "format" in find_mnist().source


def test_a_cached_file_that_is_cut_short_is_set_aside(nowhere, served):
    load_digits()
    file = nowhere / "MNIST" / "raw" / IMAGES
    file.write_bytes(file.read_bytes()[:500])
    (file.parent / f"{file.name}.md5").unlink()  # as torchvision leaves it
    assert "offline" not in load_digits().source
    assert (file.parent / f"{file.name}.damaged").stat().st_size == 500


def test_a_name_that_nobody_resolves_is_given_up(nowhere, monkeypatch):
    monkeypatch.setattr(download, "CONNECT_SECONDS", 0.1)
    monkeypatch.setattr(MNIST, "mirrors", ["http://nobody.invalid/"])
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(30))
    started = time.monotonic()
    assert "offline digits" in load_digits().source
    assert time.monotonic() - started < 10


def test_an_answer_without_end_is_cut_off(nowhere, packed, monkeypatch):
    monkeypatch.setattr(download, "MAX_BYTES", 1_000_000)

    def pours(connection, stop):
        with connection:
            connection.recv(10_000)
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
            with suppress(OSError):
                while not stop.is_set():
                    connection.sendall(b"x" * 100_000)

    with listening(pours) as url:
        monkeypatch.setattr(MNIST, "mirrors", [url])
        with pytest.raises(TutorError, match="not MNIST"):
            download_mnist(nowhere)


def test_a_cache_that_cannot_be_written_to_is_said_before_anything_is_fetched(
    nowhere, packed, monkeypatch
):
    monkeypatch.setattr(download, "_fetch", lambda *_: pytest.fail("fetched"))
    nowhere.parent.mkdir(parents=True, exist_ok=True)
    nowhere.touch()  # a file in place of the folder
    assert "no MNIST: Cannot make the folder" in load_digits().origin
