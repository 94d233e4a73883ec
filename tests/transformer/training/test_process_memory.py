"""Memory that is freed: retained for the next step during training, returned afterwards."""

import subprocess
import sys

import pytest

CODE = """
import numpy as np
from transformer.training.process_memory import retain_heap, return_free_memory

def resident():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) // 1024 for line in file if line.startswith("VmRSS"))

def use():
    parts = [np.ones(2**20) for _ in range(16)]  # 16 arrays of 8 MiB
    del parts
    return resident()

before = resident()
retain_heap()
retained = use()
return_free_memory()
returned = resident()
print(retained - before, returned - before, use() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="options of glibc")
def test_freed_memory_is_retained_in_training_and_returned_afterwards():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    retained, returned, later = map(int, done.stdout.split())
    assert retained > 100
    assert returned < 20
    assert later < 20
