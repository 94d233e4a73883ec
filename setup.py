"""The C++ extensions. Each is optional: without a compiler, PyTorch and Python do the same work more slowly."""

from pathlib import Path

from setuptools import Extension, setup

COMMON = ["-std=c++17", "-O3", "-fvisibility=hidden"]
KERNELS = [*COMMON, "-ffp-contract=fast", "-Wno-maybe-uninitialized", "-mfma"]
AVX2 = [*KERNELS, "-mavx2"]
AVX512 = [*KERNELS, *(f"-mavx512{name}" for name in ("f", "bw", "vl", "dq", "vnni"))]


def extension(folder: str, name: str, flags: list[str]) -> Extension:
    """Describe a library made of every C++ file in a folder."""
    return Extension(
        f"{folder.replace('/', '.')}.{name}",
        sources=sorted(map(str, Path(folder).glob("*.cpp"))),
        depends=sorted(map(str, Path(folder).glob("*.h"))),
        extra_compile_args=flags,
        language="c++",
        optional=True,
    )


setup(
    ext_modules=[
        extension("embeddings/tokenization/native", "_words", COMMON),
        extension("transformer/kernels/native", "_float32", AVX2),
        extension("transformer/kernels/native", "_float32_avx512", AVX512),
        extension("transformer/kernels/native", "_bfloat16", [*AVX512, "-mavx512bf16"]),
    ]
)
