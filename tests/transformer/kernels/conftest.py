"""Tests with an argument ``dtype`` run in every precision, with all instructions that this processor has."""

import pytest
import torch

from transformer.kernels import native


def computable():
    """The dtypes of layers, each with every kind of instructions that is built and that this processor has."""
    for dtype, files in native.FILES.items():
        native.forget_libraries()
        if dtype == torch.bfloat16 and native.uses_matrix_units():
            yield dtype, "AMX"
        yield from ((dtype, name) for name, file in files.items() if native._load(file))


COMPUTABLE = list(computable())


def pytest_generate_tests(metafunc):
    if "dtype" in metafunc.fixturenames:
        metafunc.parametrize(("dtype", "_instructions"), COMPUTABLE, indirect=["_instructions"],
                             ids=[f"{str(dtype).removeprefix('torch.')}-{name}" for dtype, name in COMPUTABLE])


@pytest.fixture(autouse=True)
def _instructions(request, monkeypatch):
    """Compute with these instructions, although the processor may have faster ones."""
    name = getattr(request, "param", None)
    if name:
        files = {dtype: {known: file for known, file in files.items() if known == name} or files
                 for dtype, files in native.FILES.items()}
        monkeypatch.setattr(native, "FILES", files)
        native.forget_libraries()
        native.use_matrix_units(name == "AMX")
    yield
    monkeypatch.undo()
    native.forget_libraries()
    native.use_matrix_units(True)
