"""What each phase of a cell costs: `with profiler.phase("train"): ...`.

What is not covered: work that other processes do for a cell (the sandbox's children), memory that
the CUDA driver takes outside torch except in `peak_device_bytes`, and energy where neither NVML nor
RAPL can be read. Resident-set peaks include the interpreter and its libraries, about 0.5 GB.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import torch

from harness.errors import UsageError
from harness.result import Phase

PROC = Path("/proc/self")
RAPL = Path("/sys/class/powercap/intel-rapl:0/energy_uj")
SAMPLE_SECONDS = 0.1
"""How often NVML is read during a phase."""


class Profiler:
    """Collects one `Phase` a name. Phases do not nest and no name is used twice.

    Attributes:
        phases: What has ended so far.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.phases: dict[str, Phase] = {}
        self._running: str | None = None

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure the block; recorded only if it ends without an exception."""
        if self._running or name in self.phases:
            raise UsageError(f"phase {name!r} cannot start: {self._running or name!r} has it already")
        self._running = name
        meter = GpuMeter() if self.device == "cuda" else None
        try:
            self._synchronise()
            release_freed_memory()
            reset_peak(self.device)
            joules = _rapl_joules() if meter is None else None
            if meter:
                meter.start()
            start = time.perf_counter()
            yield
            self._synchronise()
            seconds = time.perf_counter() - start
        finally:
            self._running = None
            readings = meter.stop() if meter else {}
        peak, reserved = peak_bytes(self.device)
        after = _rapl_joules() if meter is None else None
        if joules is not None and after is not None and after >= joules:  # the counter wraps around
            readings["energy_joules"] = after - joules
        self.phases[name] = Phase(seconds=seconds, peak_bytes=peak, peak_reserved_bytes=reserved, **readings)

    def _synchronise(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()
        elif self.device == "mps":
            torch.mps.synchronize()


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""glibc's mallopt(3) parameters."""


def keep_freed_memory() -> None:
    """Let the allocator reuse large freed blocks instead of handing them back to the kernel each time.

    Each tensor over 128 KiB otherwise costs fresh page faults: full fine-tuning on two cores went
    from 581 to 848 tokens/s. Phases still start trimmed, so that one phase's freed memory is not
    counted in the next. Does nothing without glibc.
    """
    libc = _glibc()
    if libc is not None:
        libc.mallopt(M_MMAP_THRESHOLD, 2**30)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def release_freed_memory() -> None:
    """Hand the allocator's free memory back to the kernel."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None


def reset_peak(device: str) -> None:
    """Start a new peak: torch's statistics on a GPU, the resident set's high-water mark on Linux."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    elif (PROC / "clear_refs").exists():
        # 5 resets VmHWM (Linux, proc_pid_clear_refs(5)); some containers forbid it.
        with contextlib.suppress(PermissionError):
            (PROC / "clear_refs").write_text("5")


def peak_bytes(device: str) -> tuple[int | None, int | None]:
    """Peak since `reset_peak`: (allocated or resident, reserved or None), in bytes."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
    status = PROC / "status"
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024, None
    return psutil.Process().memory_info().rss, None


def _rapl_joules() -> float | None:
    try:
        return int(RAPL.read_text()) / 1e6
    except (OSError, ValueError):
        return None


class GpuMeter:
    """Reads NVML in a thread: this process's device memory, mean utilisation, energy.

    Every figure is left out where the driver does not offer it.
    """

    def __init__(self) -> None:
        import pynvml

        self._nvml: Any = pynvml
        pynvml.nvmlInit()
        self._handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(0).uuid}")
        self._stop = threading.Event()
        self._memory: list[int] = []
        self._busy: list[float] = []
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._start_joules: float | None = None

    def start(self) -> None:
        """Begin sampling."""
        self._start_joules = self._joules()
        self._thread.start()

    def stop(self) -> dict[str, Any]:
        """End sampling; the readings under the names of `Phase`'s fields."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        joules = self._joules()
        self._nvml.nvmlShutdown()
        readings: dict[str, Any] = {}
        if self._memory:
            readings["peak_device_bytes"] = max(self._memory)
        if self._busy:
            readings["utilisation"] = sum(self._busy) / len(self._busy) / 100
        if joules is not None and self._start_joules is not None:
            readings["energy_joules"] = joules - self._start_joules
        return readings

    def _joules(self) -> float | None:
        try:
            return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)) / 1000
        except self._nvml.NVMLError:
            return None

    def _sample(self) -> None:
        own = psutil.Process().pid
        while True:
            try:
                used = [
                    process.usedGpuMemory
                    for process in self._nvml.nvmlDeviceGetComputeRunningProcesses(self._handle)
                    if process.pid == own and process.usedGpuMemory is not None
                ]
                self._memory += used
                self._busy.append(self._nvml.nvmlDeviceGetUtilizationRates(self._handle).gpu)
            except self._nvml.NVMLError:
                return
            if self._stop.wait(SAMPLE_SECONDS):
                return
