"""The import rules of the design, read from the source and from fresh interpreters."""

import ast
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HARNESS = sorted((ROOT / "harness").rglob("*.py"))
PURE = ("task", "method", "budget", "errors", "result", "plan", "tune", "typed", "atomic", "identity",
        "passages", "extras", "store")  # fmt: skip


def imports(path: Path, *, lazy: bool) -> set[str]:
    """Modules a file imports; with `lazy`, those inside functions too. Type-checking blocks do not count."""
    found = set()

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.FunctionDef) and not lazy:
                continue
            if isinstance(child, ast.Import):
                found.update(alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.module:
                found.add(child.module)
                found.update(f"{child.module}.{alias.name}" for alias in child.names)
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found


@pytest.mark.parametrize("path", HARNESS, ids=lambda path: path.name)
def test_no_module_is_long(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


@pytest.mark.parametrize("name", PURE)
def test_contracts_import_the_standard_library_and_each_other(name: str) -> None:
    allowed = {f"harness.{other}" for other in (*PURE, "environment", "model")}
    for module in imports(ROOT / "harness" / f"{name}.py", lazy=True):
        if module.split(".")[0] == "harness":
            assert module == "harness" or any(module == a or module.startswith(f"{a}.") for a in allowed), (
                module
            )
        else:
            assert module.split(".")[0] in sys.stdlib_module_names, module


@pytest.mark.parametrize("path", sorted((ROOT / "tasks").rglob("*.py")), ids=lambda path: path.name)
def test_tasks_import_only_the_contract_and_the_sandbox(path: Path) -> None:
    allowed = ("harness.task", "harness.errors", "harness.sandbox", "harness.scoring")
    for module in imports(path, lazy=True):
        top = module.split(".")[0]
        assert top not in {"torch", "transformers", "peft"}, module
        if top == "harness":
            names = {*allowed, "harness"}
            assert module in names or module.startswith(tuple(f"{name}." for name in allowed)), module


@pytest.mark.parametrize("path", sorted((ROOT / "harness/methods").glob("*.py")), ids=lambda path: path.name)
def test_methods_do_not_know_tasks_or_the_loop(path: Path) -> None:
    for module in imports(path, lazy=True):
        assert not module.startswith(("tasks", "harness.task", "harness.train", "harness.worker")), module


@pytest.mark.parametrize(
    "name",
    ["train", "evaluate", "answers", "material", "data", "flops", "profiler", "engine", "plain", "optimizer",
     "retention"],
)  # fmt: skip
def test_the_engine_names_no_plugin(name: str) -> None:
    from harness import registry

    tree = ast.parse((ROOT / "harness" / f"{name}.py").read_text(encoding="utf-8"))
    names = {*registry.tasks(), *registry.methods()}
    strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert not names & {value for value in strings if isinstance(value, str)}


# In this order: one process imports them all, so that each may import what those before it may, and more.
LIGHT = (
    ("harness.cli", {"torch", "transformers", "datasets", "matplotlib", "pandas"}),
    ("harness.run", {"torch", "transformers", "datasets", "matplotlib", "pandas"}),
    ("harness.regression", {"torch", "transformers", "matplotlib", "pandas"}),
    ("harness.regression.power", {"torch", "transformers", "matplotlib", "pandas"}),
    ("harness.baseline", {"torch", "transformers", "matplotlib", "pandas"}),
    ("harness.stats", {"torch", "transformers", "matplotlib", "pandas"}),
    ("harness.registry", {"torch", "transformers"}),
    ("harness.report", {"torch", "transformers"}),
    ("harness.study.run", {"torch", "transformers"}),
)


def test_light_modules_stay_light() -> None:
    assert all(before >= after for (_, before), (_, after) in pairwise(LIGHT))
    code = f"""
import importlib, sys
for module, absent in {LIGHT!r}:
    importlib.import_module(module)
    for heavy in absent.intersection(sys.modules):
        print(module, "imports", heavy)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines() == []


@pytest.mark.parametrize(
    "path", sorted((ROOT / "harness/regression").glob("*.py")), ids=lambda path: path.name
)
def test_the_gate_works_on_results_alone(path: Path) -> None:
    allowed = ("harness.aligned", "harness.atomic", "harness.errors", "harness.identity", "harness.paired",
               "harness.pvalues", "harness.regression", "harness.result", "harness.stats", "harness.store",
               "harness.typed")  # fmt: skip
    for module in imports(path, lazy=True):
        top = module.split(".")[0]
        assert top in {"harness", "numpy", *sys.stdlib_module_names}, module
        assert top != "harness" or module == "harness" or module.startswith(allowed), module


def test_only_the_worker_joins_the_engine() -> None:
    engine = {"harness.train", "harness.evaluate", "harness.profiler", "harness.metrics"}
    for path in HARNESS:
        joins = {
            "worker.py",
            "checkpoints.py",
            "examine.py",
            "engine.py",
            "compiling.py",
            "evaluate.py",
            "flops.py",
            "merging.py",
            "methodcheck.py",
        }
        if path.name in joins:
            continue
        assert not engine & imports(path, lazy=True), path
