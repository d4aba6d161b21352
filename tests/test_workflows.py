"""The CI workflows: pinned, reading only where strangers' code runs, running none where they may write."""

import re
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).parent.parent / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))


def load(name):
    return yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))


def steps(workflow):
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_actions_are_pinned_and_permissions_are_named(path):
    workflow = load(path.name)
    assert workflow["permissions"]
    for step in steps(workflow):
        if "uses" in step:
            assert re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"])
        # Expressions in a script are pasted into it: what a stranger names would run.
        assert "${{" not in step.get("run", "")
        assert "${{" not in step.get("with", {}).get("script", "")


def test_the_run_of_a_pull_requests_code_may_only_read():
    workflow = load("quality.yml")
    assert workflow["permissions"] == {"contents": "read"}
    assert set(workflow[True]) == {"pull_request", "workflow_dispatch", "workflow_call"}  # YAML's "on"
    checkout = next(step for step in steps(workflow) if step.get("uses", "").startswith("actions/checkout"))
    assert checkout["with"]["persist-credentials"] is False
    assert workflow[True]["workflow_call"]["inputs"]["command"]["default"] == "make quality"


def test_what_may_write_runs_nothing_of_the_pull_request():
    workflow = load("quality-comment.yml")
    assert workflow[True]["workflow_run"]["workflows"] == [load("quality.yml")["name"]]
    used = [step["uses"].partition("@")[0] for step in steps(workflow)]
    assert used == ["actions/download-artifact", "actions/github-script"]
    assert not any("run" in step for step in steps(workflow))
    assert "secrets" not in (FOLDER / "quality-comment.yml").read_text(encoding="utf-8")
