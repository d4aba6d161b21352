"""What a machine looks like to a run."""

from harness.environment import PACKAGES, probe, versions


def test_the_probe_is_stable_but_for_speed() -> None:
    first, second = probe("cpu"), probe("auto" if not __import__("torch").cuda.is_available() else "cpu")
    assert first.device == second.device == "cpu"
    assert first.machine == second.machine
    assert first.precision in {"bfloat16", "float32"}
    assert first.cores >= 1
    assert first.memory_bytes > 2**30
    assert 1e9 < first.matmul_flops < 1e15


def test_versions_name_every_package() -> None:
    found = versions()
    assert set(found) == {"python", *PACKAGES}
    assert found["tuneoff"] != "absent"
