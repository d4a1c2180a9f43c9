"""The one exception whose message is meant for the learner."""


class TutorError(Exception):
    """Something went wrong that the learner can mend.

    The message is one or two lines: what is wrong, and what to do. The command line prints it
    on stderr without a traceback and exits with `exit_code`.
    """

    exit_code = 1


class UsageError(TutorError):
    """A command or an option was given a value that it cannot take."""

    exit_code = 2
