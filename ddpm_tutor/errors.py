"""The errors whose messages are meant for the learner, and what those of others mean."""

import os


class TutorError(Exception):
    """Something went wrong that the learner can mend.

    The message is one or two lines: what is wrong, and what to do. The command line prints it
    on stderr without a traceback and exits with `exit_code`.
    """

    exit_code = 1


class UsageError(TutorError):
    """A command or an option was given a value that it cannot take."""

    exit_code = 2


def is_out_of_memory(error: BaseException) -> bool:
    """Whether there was too little memory, as PyTorch's devices and NumPy say it, each its way."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    said = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory")
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in said)


def why_no_answer(error: OSError) -> str:
    """Why a download has failed, in a few words that say what to mend."""
    import socket
    import ssl
    import urllib.error
    import urllib.request

    cause = error
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, OSError):
        cause = error.reason
    match cause:
        case urllib.error.HTTPError():
            why = f"its mirror says {cause.code} {cause.reason}"
        case socket.gaierror():
            why = "no mirror's name is found; no network, or no DNS"
        case ssl.SSLCertVerificationError():
            why = f"its mirror's certificate is not trusted: {cause.verify_message}"
        case TimeoutError():
            why = "no mirror answers in time"
        case _:
            why = f"no mirror answers: {cause.strerror or cause}"
    proxies = {} if os.environ.get("no_proxy") == "*" else urllib.request.getproxies()
    proxy = proxies.get("https") or proxies.get("http")
    # its name and password, if there are, stay out of what may be shown to others
    return f"{why}; the proxy is {proxy.rpartition('@')[2]}" if proxy else why
