"""A library that was built from other sources is refused, and PyTorch computes the same."""

import ctypes
import shutil
import subprocess

import pytest
import torch
from small_models import encoder, needs_code, perturbed

from transformer.kernels import native

COMPILER = shutil.which("cc") or shutil.which("gcc")
SIZES = [ctypes.sizeof(structure) for structure in native.STRUCTURES]
IDS = torch.tensor([[5, 6, 7, 8], [9, 10, 0, 0]])  # 0 is padding


@pytest.fixture(autouse=True)
def _reload():
    """Load the libraries again in the test, and once more after it."""
    native.forget_libraries()
    yield
    native.forget_libraries()


def build(folder, numbers):
    """Build a library with these ABI numbers, or without the function; any other function ends the process."""
    listed = ", ".join(map(str, [*(numbers or []), 0]))
    abi = f"static const long long abi[] = {{{listed}}}; const long long *vecformer_abi(void) {{ return abi; }}"
    source, library = folder / "stale.c", folder / "stale.so"
    source.write_text((abi if numbers else "") + "\nint vecformer_supported(void) { __builtin_trap(); }\n")
    subprocess.run([COMPILER, "-shared", "-fPIC", "-o", library, source], check=True)
    return library


def assert_refused(model, expected, caplog, n_warnings):
    for _ in range(2):
        assert not any(native.available(dtype) for dtype in (torch.float32, torch.bfloat16, torch.int8, None))
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == n_warnings
    assert all("run `pip install -e .` again" in warning for warning in warnings)
    torch.testing.assert_close(model(IDS).hidden[IDS != 0], expected, atol=1e-5, rtol=1e-5)
    return warnings


@pytest.mark.skipif(COMPILER is None, reason="no C compiler")
@pytest.mark.parametrize("numbers", [
    None, [native.ABI_VERSION + 1, *SIZES], [native.ABI_VERSION, *SIZES[:-1]],
    [native.ABI_VERSION, *SIZES[:-1], SIZES[-1] + 8], [native.ABI_VERSION, *SIZES, 8],
], ids=["no symbol", "other version", "struct missing", "other size", "extra struct"])
def test_stale_library_is_refused(numbers, tmp_path, monkeypatch, caplog):
    model = perturbed(encoder(n_heads=1)).eval()
    expected = model(IDS).hidden[IDS != 0]
    library = build(tmp_path, numbers)
    monkeypatch.setattr(native, "FILES", {dtype: {"": library} for dtype in native.FILES})
    native.forget_libraries()
    warnings = assert_refused(model, expected, caplog, n_warnings=1)
    assert all(warning.startswith(str(library)) for warning in warnings)


@needs_code
@pytest.mark.parametrize("structure", native.STRUCTURES)
def test_library_is_refused_when_a_struct_differs(structure, monkeypatch, caplog):
    model = perturbed(encoder(n_heads=1)).eval()
    expected = model(IDS).hidden[IDS != 0]
    changed = type("Changed", (structure,), {"_fields_": [("extra", ctypes.c_int64)]})
    monkeypatch.setattr(native, "STRUCTURES", [changed if each is structure else each for each in native.STRUCTURES])
    native.forget_libraries()
    n_files = sum(file.exists() for files in native.FILES.values() for file in files.values())
    assert_refused(model, expected, caplog, n_warnings=n_files)
