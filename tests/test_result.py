"""Result files: round trip, damage, atomic writes."""

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from harness.atomic import write_atomic
from harness.errors import ResultError
from harness.result import Result, _checksum, fingerprint, finite
from harness.store import Store
from tests.synthetic import grid


def one() -> Result:
    return next(result for result in grid() if result.train is not None)


def test_json_round_trip_keeps_everything() -> None:
    for result in grid():
        assert Result.from_json(result.to_json()) == result


def test_the_fingerprint_ignores_key_order_and_sees_every_value() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


def test_a_truncated_file_is_named_in_the_error(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(one())
    (path,) = store.paths()
    path.write_text(path.read_text()[:200])
    with pytest.raises(ResultError, match=r"seed-0\.json: not a complete JSON object.*Delete the file"):
        store.load()


def test_an_edited_file_fails_its_checksum(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(one())
    (path,) = store.paths()
    body = json.loads(path.read_text())
    body["metric"]["value"] = 1.0
    path.write_text(json.dumps(body))
    with pytest.raises(ResultError, match="checksum does not match"):
        store.read(path)


@pytest.mark.parametrize("text", ["[]", "3", '{"a": 1}', '{"schema_version": 99}'])
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(ResultError, match="schema_version"):
        Result.from_json(text)


def test_a_file_of_the_first_schema_is_read_without_baselines() -> None:
    body = json.loads(replace(one(), schema_version=1).to_json())
    del body["checksum"], body["baselines"], body["retention"], body["model_bytes"]
    del body["checkpoints"], body["merged"], body["unmerged"]
    for item in body["items"]:
        del item["unfinished"], item["readable"]
    text = json.dumps({**body, "checksum": _checksum(body)})
    assert Result.from_json(text) == replace(
        one(),
        baselines=None,
        retention=None,
        adapter_bytes=None,
        model_bytes=None,
        checkpoints=(),
        merged=None,
        items=tuple(replace(item, unfinished=None, readable=None) for item in one().items),
    )


@pytest.mark.parametrize("damage", [{"loss_before": -1.0}, {"tokens": 1.5}, {"sha256": 3}, {"python": None}])
def test_a_retention_of_another_type_is_refused(damage: dict[str, object]) -> None:
    body = json.loads(one().to_json())
    del body["checksum"]
    body["retention"]["code"].update(damage)
    with pytest.raises(ValueError, match=rf"retention\.code\.{next(iter(damage))} is "):
        Result.from_json(json.dumps({**body, "checksum": _checksum(body)}))


def test_an_older_file_is_read_as_without_checkpoints_or_merging() -> None:
    body = json.loads(replace(one(), schema_version=3).to_json())
    del body["checksum"], body["checkpoints"], body["merged"], body["unmerged"]
    for name in ("checkpoints", "merge_prompts"):
        del body["identity"]["budget"][name]
    found = Result.from_json(json.dumps({**body, "checksum": _checksum(body)}))
    assert found == replace(one(), checkpoints=(), merged=None)
    assert found.fingerprint == one().fingerprint


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("checkpoints", 0, "score"), -0.5),
        (("merged", "tokens"), "8"),
        (("merged", "apart", "forward"), None),
    ],
)
def test_a_measurement_of_another_type_is_refused(path: tuple[str | int, ...], value: object) -> None:
    body = json.loads(next(result for result in grid() if result.merged).to_json())
    del body["checksum"]
    inner = body
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(ValueError, match=rf"{path[-1]} is "):
        Result.from_json(json.dumps({**body, "checksum": _checksum(body)}))


def test_an_unknown_status_is_refused() -> None:
    with pytest.raises(ResultError, match="'fine' is not one of ok, skipped"):
        Result(status="fine", reason=None, task="t", method="m", seed=0, identity={}, family="f")


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="no results under"):
        Store(tmp_path).load()


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.json"
    write_atomic(path, "old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResultError, match="No space left"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_figures_that_are_not_finite_become_null() -> None:
    assert finite(float("nan")) is None
    assert finite(float("inf")) is None
    assert finite(1.5) == 1.5
