"""ddpm-tutor: Denoising Diffusion Probabilistic Models (Ho et al. 2020), step by step.

The science is usable as a library: `from ddpm_tutor import linear_schedule, q_sample, UNet`.
The names are those of `ddpm_tutor.api`, which is loaded when the first of them is used: so
`ddpm-tutor --help` does not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from ddpm_tutor.api import *  # noqa: F403


def __getattr__(name: str) -> Any:
    if name == "__all__" or (not name.startswith("_") and name != "api"):
        api = import_module(f"{__name__}.api")
        if name == "__all__" or name in api.__all__:
            return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *import_module(f"{__name__}.api").__all__]
