"""A home folder and a name for a user who has none, such as a random one in a container."""

import getpass
import os

from ddpm_tutor.files import makeshift_home


def find_a_home() -> None:
    """Sets HOME and USER where the system knows neither: torch, matplotlib and others ask."""
    if not os.path.isabs(os.path.expanduser("~")):
        os.environ["HOME"] = str(makeshift_home())
    try:
        getpass.getuser()
    except (KeyError, OSError, ImportError):
        os.environ["USER"] = "nobody"
