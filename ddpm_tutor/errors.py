"""The errors whose messages are meant for the learner, and how to know one of memory."""


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
