"""What the machine is asked to do otherwise than it would."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from ddpm_tutor.cli.memory import keep_freed_memory
torch.set_num_threads(1)
if {keep}: keep_freed_memory()
made = lambda: torch.ones(2**24)
for _ in range(40): made()  # by then there are places enough
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4): made()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this is about glibc")
def test_the_memory_of_large_tensors_is_kept_for_the_next_ones():
    kept, by_default = (
        int(subprocess.check_output([sys.executable, "-c", FAULTS.format(keep=keep)]))
        for keep in (True, False)
    )
    assert kept < by_default / 100
