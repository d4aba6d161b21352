"""What a machine looks like to a run."""

from pathlib import Path

import pytest

from harness import environment
from harness.environment import PACKAGES, probe, processor, versions


def test_the_probe_is_stable_but_for_speed() -> None:
    first, second = probe("cpu"), probe("auto" if not __import__("torch").cuda.is_available() else "cpu")
    assert first.device == second.device == "cpu"
    assert first.machine == second.machine
    assert first.precision in {"bfloat16", "float32"}
    assert first.cores >= 1
    assert first.memory_bytes > 2**30
    assert 1e9 < first.matmul_flops < 1e15


@pytest.mark.parametrize(
    ("quota", "cores"), [("max 100000", None), ("50000 100000", 1), ("", None), (None, None)]
)
def test_cores_are_no_more_than_the_containers_quota(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quota: str | None, cores: int | None
) -> None:
    if quota is not None:
        (tmp_path / "cpu.max").write_text(quota)
    without = environment.usable_cores()
    monkeypatch.setattr(environment, "CGROUP", tmp_path)
    assert environment.usable_cores() == (cores or without)


def test_versions_name_every_package() -> None:
    found = versions()
    assert set(found) == {"python", *PACKAGES}
    assert found["tuneoff"] != "absent"


@pytest.mark.parametrize(
    ("info", "name"),
    [
        (
            "processor\t: 0\ncpu family\t: 25\nmodel\t\t: 1\nmodel name\t: AMD EPYC\n\n"
            "processor\t: 1\nmodel name\t: other\n",
            "AMD EPYC (cpu family 25, model 1)",
        ),
        (
            "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n",
            "(CPU implementer 0x41, CPU part 0xd40)",
        ),
    ],
)
def test_processors_of_one_name_are_told_apart(tmp_path: Path, info: str, name: str) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(info)
    assert processor(path).endswith(name)
    assert "(" not in processor(tmp_path / "absent")
