"""What each phase of a cell costs: `with profiler.phase("train"): ...`.

What is not covered: work that other processes do for a cell (the sandbox's children), memory that
the CUDA driver takes outside torch except in `peak_device_bytes`, and energy where neither NVML nor
RAPL can be read. Resident-set peaks include the interpreter and its libraries, about 0.5 GB.
"""

from __future__ import annotations

import contextlib
import ctypes
import operator
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, TypeVar

import psutil
import torch

from harness.errors import UsageError
from harness.result import Phase

PROC = Path("/proc/self")
RAPL = Path("/sys/class/powercap")
"""Holds a folder for each socket, "intel-rapl:0" and so on; those with a second colon are parts of one."""
SAMPLE_SECONDS = 0.1
"""How often NVML is read during a phase."""

Number = TypeVar("Number", int, float)


class Profiler:
    """Collects one `Phase` a name. No name is used twice, and none within another but `apart` from it.

    Attributes:
        phases: What has ended so far.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.phases: dict[str, Phase] = {}
        self._running: Stopwatch | None = None

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure the block; recorded only if it ends without an exception."""
        if self._running or name in self.phases:
            holder = self._running.name if self._running else name
            raise UsageError(f"phase {name!r} cannot start: {holder!r} has it already")
        self.phases[name] = yield from self._measured(name)

    @contextlib.contextmanager
    def apart(self, name: str) -> Iterator[None]:
        """Measure the block for the phase `name`, on top of earlier blocks of that name.

        A phase that is running stands still meanwhile: its seconds, peaks and energy are without the block.
        Memory that it has freed so far may count in the block's peak.
        """
        outer = self._running
        before = outer.stop() if outer else None
        block = yield from self._measured(name, trim=outer is None)
        self.phases[name] = joined(self.phases[name], block) if name in self.phases else block
        self._running = outer
        if outer and before:
            # A trimmed allocator makes the next steps slower, which then are the outer phase's.
            outer.start(trim=(block.peak_bytes or 0) > (before.peak_bytes or 0))

    def _measured(self, name: str, *, trim: bool = True) -> Generator[None, None, Phase]:
        watch = self._running = Stopwatch(name, self.device)
        watch.start(trim=trim)
        try:
            yield
            return watch.stop()
        finally:
            watch.abandon()
            self._running = None


class Stopwatch:
    """Measures one phase, in one stretch or in several."""

    def __init__(self, name: str, device: str) -> None:
        self.name = name
        self._device = device
        self._total: Phase | None = None
        self._gpu: GpuMeter | None = None
        self._joules: tuple[float, ...] = ()
        self._reset = False
        self._start = 0.0

    def start(self, *, trim: bool) -> None:
        """Begin a stretch with peaks reset; `trim` hands the allocators' free memory back before."""
        self._gpu = GpuMeter() if self._device == "cuda" else None
        self._synchronise()
        if trim:
            release_freed_memory(self._device)
        self._reset = reset_peak(self._device)
        if self._gpu:
            self._gpu.start()
        else:
            self._joules = _rapl_joules()
        self._start = time.perf_counter()

    def stop(self) -> Phase:
        """End the stretch; all of them together."""
        self._synchronise()
        seconds = time.perf_counter() - self._start
        readings = self._gpu.stop() if self._gpu else {}
        self._gpu = None
        # A peak that cannot be reset is an earlier phase's as well.
        peak, reserved = peak_bytes(self._device) if self._reset else (None, None)
        spent = [after - before for before, after in zip(self._joules, _rapl_joules(), strict=False)]
        if spent and min(spent) >= 0:  # a counter wraps around
            readings["energy_joules"] = sum(spent)
        stretch = Phase(seconds=seconds, peak_bytes=peak, peak_reserved_bytes=reserved, **readings)
        self._total = joined(self._total, stretch) if self._total else stretch
        return self._total

    def abandon(self) -> None:
        """End a stretch that nobody will read, if one is running."""
        if self._gpu:
            self._gpu.stop()
            self._gpu = None

    def _synchronise(self) -> None:
        if self._device == "cuda":
            torch.cuda.synchronize()
        elif self._device == "mps":
            torch.mps.synchronize()


def joined(first: Phase, second: Phase) -> Phase:
    """Two stretches of one phase as one: sums of seconds and energy, the greater peaks.

    A figure is None where either is unknown.
    """
    seconds = first.seconds + second.seconds
    busy = _both(operator.add, _busy_seconds(first), _busy_seconds(second))
    return Phase(
        seconds=seconds,
        peak_bytes=_both(max, first.peak_bytes, second.peak_bytes),
        peak_reserved_bytes=_both(max, first.peak_reserved_bytes, second.peak_reserved_bytes),
        peak_device_bytes=_both(max, first.peak_device_bytes, second.peak_device_bytes),
        utilisation=None if busy is None else busy / seconds,
        energy_joules=_both(operator.add, first.energy_joules, second.energy_joules),
    )


def _both(
    fold: Callable[[Number, Number], Number], first: Number | None, second: Number | None
) -> Number | None:
    return None if first is None or second is None else fold(first, second)


def _busy_seconds(phase: Phase) -> float | None:
    return None if phase.utilisation is None else phase.utilisation * phase.seconds


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
        # Before 2.35 or so glibc refuses thresholds of more than 32 MiB, and a refusal would leave 128 KiB.
        if not libc.mallopt(M_MMAP_THRESHOLD, 2**30):
            libc.mallopt(M_MMAP_THRESHOLD, 2**25)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def release_freed_memory(device: str) -> None:
    """Hand free memory back: torch's to the GPU, the C allocator's to the kernel."""
    if device == "cuda":
        torch.cuda.empty_cache()
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None


def reset_peak(device: str) -> bool:
    """Start a new peak: torch's statistics on a GPU, the resident set's high-water mark on Linux.

    Returns:
        Whether that can be done: only Linux has such a mark, and some containers forbid to reset it.
    """
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return True
    try:
        (PROC / "clear_refs").write_text("5")  # resets VmHWM (Linux, proc_pid_clear_refs(5))
    except OSError:
        return False
    return True


def peak_bytes(device: str) -> tuple[int | None, int | None]:
    """Peak since `reset_peak`: (allocated or resident, reserved or None), in bytes."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
    marks = [line for line in (PROC / "status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(marks[0].split()[1]) * 1024, None


def _rapl_joules() -> tuple[float, ...]:
    """The energy counter of every socket; none where they are not there or may not be read."""
    try:
        sockets = [path for path in sorted(RAPL.glob("intel-rapl:[0-9]*")) if path.name.count(":") == 1]
        return tuple(int((path / "energy_uj").read_text()) / 1e6 for path in sockets)
    except (OSError, ValueError):
        return ()


class GpuMeter:
    """Reads NVML in a thread: this process's device memory, mean utilisation, energy.

    Every figure is left out where the driver does not offer it, all where there is no NVML, as under ROCm.
    """

    def __init__(self) -> None:
        import pynvml

        self._nvml: Any = pynvml
        self._handle: Any = None
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlInit()
            self._handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(0).uuid}")
        self._stop = threading.Event()
        self._memory: list[int] = []
        self._busy: list[float] = []
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._start_joules: float | None = None

    def start(self) -> None:
        """Begin sampling."""
        if self._handle is not None:
            self._start_joules = self._joules()
            self._thread.start()

    def stop(self) -> dict[str, Any]:
        """End sampling; the readings under the names of `Phase`'s fields."""
        if self._handle is None:
            return {}
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
