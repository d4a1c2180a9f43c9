"""What is said of the errors of others."""

import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ddpm_tutor.errors import first_line, first_sentence, line_in, why_no_answer


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(urllib.request, "getproxies", urllib.request.getproxies_environment)
    monkeypatch.setattr(urllib.request, "_opener", None)  # it would remember the proxies
    monkeypatch.delenv("no_proxy", raising=False)
    return monkeypatch


@pytest.fixture
def refusing() -> Iterator[str]:
    """A mirror that lets nobody in."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(403)

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def reason(url: str, seconds: float = 5) -> str:
    with pytest.raises(OSError) as caught:
        urllib.request.urlopen(url, timeout=seconds)
    return why_no_answer(caught.value)


def test_a_mirror_that_refuses_is_quoted(refusing: str) -> None:
    assert reason(refusing) == "its mirror says 403 Forbidden"


def test_a_closed_port_and_a_mute_one() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        assert reason(url) == "no mirror answers: Connection refused"
        listening.listen()
        assert reason(url, 0.2) == "no mirror answers in time"


def test_the_proxy_is_named_without_its_password(no_proxy, refusing: str) -> None:
    no_proxy.setenv("http_proxy", refusing.replace("http://", "http://me:secret@"))
    where = refusing.removeprefix("http://")
    said = reason("http://mirror.invalid/")
    assert said == f"its mirror says 403 Forbidden; the proxy is {where}"


def test_a_certificate_and_a_name() -> None:
    untrusted = ssl.SSLCertVerificationError(1, "failed")
    untrusted.verify_message = "self-signed certificate"
    assert why_no_answer(urllib.error.URLError(untrusted)) == (
        "its mirror's certificate is not trusted: self-signed certificate"
    )
    nameless = urllib.error.URLError(socket.gaierror(-2, "Name or service not known"))
    assert "no network, or no DNS" in why_no_answer(nameless)


# What is quoted of an error


@pytest.mark.parametrize(
    ("error", "line", "sentence"),
    [
        (ValueError("one. two.\nthree"), "one. two.", "one"),
        (ValueError("  a file.\n\nadvice"), "a file.", "a file"),
        (ValueError(""), "ValueError", "ValueError"),
        (ValueError("x" * 1000), "x" * 200, "x" * 200),
    ],
)
def test_an_error_is_quoted_by_its_first_line_or_sentence(error, line, sentence):
    assert (first_line(error), first_sentence(error)) == (line, sentence)


def test_an_error_has_a_line_in_the_file_that_made_it_and_none_elsewhere():
    try:
        int("no number")
    except ValueError as raised:
        error = raised
    here = Path(__file__)
    line = line_in(error, here)
    assert line and 'int("no number")' in here.read_text(encoding="utf-8").splitlines()[line - 1]
    assert line_in(error, here.with_name("other.py")) is None
