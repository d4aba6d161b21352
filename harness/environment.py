"""Where a run happens: device, precision, versions, and a fingerprint that says when timings compare."""

from __future__ import annotations

import hashlib
import importlib.metadata
import math
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.errors import UsageError

DEVICES = ("auto", "cpu", "cuda", "mps")
PACKAGES = ("tuneoff", "torch", "transformers", "peft", "bitsandbytes")
"""Distributions whose version can move a figure; part of every result's identity."""

PROBE_SHAPE = (1024, 1024, 1024)
"""Rows, inner size and columns of the matrix product that the speed probe times."""

GENERATION = ("cpu family", "model", "CPU implementer", "CPU part")
"""Fields of /proc/cpuinfo: the first two on x86-64, the others on AArch64, which gives no name besides."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """One machine as a run sees it.

    Attributes:
        device: "cpu", "cuda" or "mps".
        precision: Compute type of every matrix product: "bfloat16" where the device has it in
            hardware, else "float32".
        matmul_flops: Floating point operations a second of one square matrix product in that
            precision; for estimates of time only.
        machine: Fingerprint of processor, its instructions, cores, memory and GPU. Seconds compare only
            where it agrees.
    """

    device: str
    device_name: str
    cores: int
    memory_bytes: int
    gpu_memory_bytes: int | None
    precision: str
    matmul_flops: float
    versions: dict[str, str]
    machine: str
    commit: str | None
    platform: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a result file."""
        return asdict(self)


def versions() -> dict[str, str]:
    """Installed versions of `PACKAGES`, "absent" where one is missing."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "absent"
    return found


def probe(device: str) -> Environment:
    """Look at this machine. Imports torch and may start a GPU driver: call it in a worker process.

    Raises:
        UsageError: The device asked for is not here.
    """
    import psutil
    import torch

    here = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    if torch.backends.mps.is_available():
        here.append("mps")
    if device == "auto":
        device = here[-1]
    if device not in here:
        raise UsageError(f"device {device!r} is not available; this machine has: {', '.join(here)}")
    gpu_memory = None
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        name, gpu_memory = properties.name, int(properties.total_memory)
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device == "mps":
        name, fast = f"Apple {platform.machine()} GPU", False
    else:
        name = processor()
        fast = bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
    precision = "bfloat16" if fast else "float32"
    cores = usable_cores()
    memory = int(psutil.virtual_memory().total)
    # A host can hide instructions from a virtual machine, so the processor's name is not enough.
    instructions = torch.backends.cpu.get_cpu_capability()
    traits = (
        processor(), instructions, cores, round(memory / 2**30), name, round((gpu_memory or 0) / 2**30)
    )  # fmt: skip
    return Environment(
        device=device,
        device_name=name,
        cores=cores,
        memory_bytes=memory,
        gpu_memory_bytes=gpu_memory,
        precision=precision,
        matmul_flops=matmul_flops(device, precision),
        versions=versions(),
        machine=hashlib.sha256(repr(traits).encode()).hexdigest()[:16],
        commit=commit(),
        platform=platform.platform(),
    )


CGROUP = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """Cores that this process may use: its affinity, or the quota of its container where that is less."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = (CGROUP / "cpu.max").read_text().split()  # "max" is none
        return min(cores, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        return cores


def matmul_flops(
    device: str, precision: str, shapes: Sequence[tuple[int, int, int]] = (PROBE_SHAPE,)
) -> float:
    """Operations a second of matrix products on this machine, with torch's current number of threads.

    Args:
        device: Where to multiply.
        precision: Type of both factors.
        shapes: (rows, inner, columns) of each product; the fastest of them counts.

    Returns:
        Of each product the median of seven, after one to warm up.
    """
    import torch

    fastest = 0.0
    for rows, inner, columns in shapes:
        options: Any = {"dtype": getattr(torch, precision), "device": device}
        left, right = torch.ones(rows, inner, **options), torch.ones(columns, inner, **options)
        seconds = []
        for _ in range(8):
            start = time.perf_counter()
            # As a linear layer multiplies; reading a value waits for the device.
            float(torch.nn.functional.linear(left, right)[0, 0])
            seconds.append(time.perf_counter() - start)
        fastest = max(fastest, 2 * rows * inner * columns / statistics.median(seconds[1:]))
    return fastest


def processor(info: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name, with what tells its generation: virtual machines call many "AMD EPYC".

    Args:
        info: What Linux says of it.
    """
    said: dict[str, str] = {}
    if info.exists():
        # Of the first core: the fields repeat for each.
        for line in info.read_text(encoding="utf-8").partition("\n\n")[0].splitlines():
            field, _, value = line.partition(":")
            said[field.strip()] = value.strip()
    name = said.get("model name") or platform.processor() or platform.machine()
    known = [f"{field} {said[field]}" for field in GENERATION if field in said]
    return f"{name} ({', '.join(known)})" if known else name


def commit(
    folder: Path = Path(__file__).parents[1], parts: tuple[str, ...] = ("harness", "tasks")
) -> str | None:
    """Commit of a checkout, with a plus sign if it was changed; None outside one.

    Args:
        folder: Its root, by default that of the checkout this package runs from.
        parts: What counts for the plus sign; all of it if empty.
    """
    try:
        head = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no", "--", *parts],
            cwd=folder, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+" if changed else "")
