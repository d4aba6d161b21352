"""Phases, peaks and the GPU meter."""

import sys
import time
import types
from pathlib import Path
from typing import Any

import pytest
import torch

from harness import profiler
from harness.errors import UsageError
from harness.profiler import GpuMeter, Profiler, joined
from harness.result import Phase


def test_phases_have_their_own_seconds_and_peaks() -> None:
    profiler = Profiler("cpu")
    with profiler.phase("big"):
        block = torch.ones(100_000_000)  # 400 MB
        time.sleep(0.05)
        del block
    with profiler.phase("small"):
        time.sleep(0.01)
    big, small = profiler.phases["big"], profiler.phases["small"]
    assert big.seconds > 0.05 > small.seconds > 0.01
    assert big.peak_bytes is not None
    assert small.peak_bytes is not None
    if sys.platform == "linux":
        assert big.peak_bytes - small.peak_bytes > 300e6
    assert big.peak_reserved_bytes is None


def test_a_phase_that_fails_is_not_recorded_and_the_next_can_start() -> None:
    profiler = Profiler("cpu")
    with pytest.raises(ValueError, match="inside"), profiler.phase("one"):
        raise ValueError("inside")
    assert profiler.phases == {}
    with profiler.phase("one"):
        pass
    assert set(profiler.phases) == {"one"}


def test_phases_neither_nest_nor_repeat() -> None:
    profiler = Profiler("cpu")
    with profiler.phase("a"), pytest.raises(UsageError, match="'a' has it"), profiler.phase("b"):
        pass
    with pytest.raises(UsageError, match="cannot start"), profiler.phase("a"):
        pass


def test_a_peak_that_cannot_be_reset_is_not_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(profiler, "PROC", tmp_path / "missing")
    watched = Profiler("cpu")
    with watched.phase("one"):
        pass
    assert watched.phases["one"].peak_bytes is None
    assert watched.phases["one"].seconds > 0


def test_a_block_apart_is_in_no_figure_of_the_phase_around_it() -> None:
    profiler = Profiler("cpu")
    with profiler.phase("outer"):
        time.sleep(0.02)
        for _ in range(2):
            with profiler.apart("inner"):
                block = torch.ones(100_000_000)  # 400 MB
                time.sleep(0.2)
                del block
        time.sleep(0.02)
    with profiler.phase("next"):
        pass
    outer, inner = profiler.phases["outer"], profiler.phases["inner"]
    assert 0.04 < outer.seconds < 0.2
    assert inner.seconds > 0.4
    assert outer.peak_bytes is not None
    assert inner.peak_bytes is not None
    if sys.platform == "linux":
        assert inner.peak_bytes - outer.peak_bytes > 300e6


def test_stretches_of_one_phase_add_up() -> None:
    first = Phase(seconds=1.0, peak_bytes=5, utilisation=1.0, energy_joules=2.0)
    second = Phase(seconds=3.0, peak_bytes=4, peak_device_bytes=7, utilisation=0.2, energy_joules=1.0)
    assert joined(first, second) == Phase(
        seconds=4.0, peak_bytes=5, peak_device_bytes=None, utilisation=0.4, energy_joules=3.0
    )
    assert joined(first, Phase(seconds=0.0, peak_bytes=None)).peak_bytes is None


class NvmlError(Exception):
    """What the fake driver raises."""


def fake_nvml(*, energy: bool) -> Any:
    """A driver that reports growing memory and energy; `energy=False` plays an old card."""
    clock = {"joules": 0, "used": 10**9}

    def joules(handle: object) -> int:
        if not energy:
            raise NvmlError
        clock["joules"] += 5000
        return clock["joules"]

    def processes(handle: object) -> list[Any]:
        clock["used"] += 10**6
        mine = types.SimpleNamespace(pid=__import__("os").getpid(), usedGpuMemory=clock["used"])
        return [types.SimpleNamespace(pid=1, usedGpuMemory=10**12), mine]

    return types.SimpleNamespace(
        NVMLError=NvmlError,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetTotalEnergyConsumption=joules,
        nvmlDeviceGetComputeRunningProcesses=processes,
        nvmlDeviceGetUtilizationRates=lambda handle: types.SimpleNamespace(gpu=50),
    )


@pytest.mark.parametrize("energy", [True, False])
def test_the_gpu_meter_reads_this_process_and_leaves_out_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, energy: bool
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(energy=energy))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: types.SimpleNamespace(uuid="0000"))
    meter = GpuMeter()
    meter.start()
    time.sleep(0.25)
    readings = meter.stop()
    assert 10**9 < readings["peak_device_bytes"] < 10**9 + 10**7
    assert readings["utilisation"] == 0.5
    assert readings.get("energy_joules") == (5.0 if energy else None)


def test_without_nvml_there_are_no_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> None:
        raise NvmlError

    nvml = fake_nvml(energy=True)
    nvml.nvmlInit = absent
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    meter = GpuMeter()
    meter.start()
    assert meter.stop() == {}


def test_the_energy_of_every_socket_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("harness.profiler.RAPL", tmp_path)
    for name in ("intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "energy_uj").write_text("1000000")
    profiler = Profiler("cpu")
    with profiler.phase("train"):
        (tmp_path / "intel-rapl:0" / "energy_uj").write_text("3000000")
        (tmp_path / "intel-rapl:0:0" / "energy_uj").write_text("9000000")
        (tmp_path / "intel-rapl:1" / "energy_uj").write_text("6000000")
    assert profiler.phases["train"].energy_joules == 7.0
    with profiler.phase("wrapped"):
        (tmp_path / "intel-rapl:1" / "energy_uj").write_text("1")
    assert profiler.phases["wrapped"].energy_joules is None
