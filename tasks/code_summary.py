"""What does this Python function do? Its code in, the first sentence of its docstring out.

Source: the functions of `Django` 5.2.19 and `networkx` 3.6.1 (both BSD-3-Clause) and `textual` 8.2.8 (MIT),
read as text from the installed packages, which are not imported. Their docstrings begin with a sentence that
was written with care, and they are the same on every version of Python, as the standard library's are not.
One row:

    code     def intra_community_edges(G, partition):
                 return sum(G.subgraph(block).size() for block in partition)
    summary  Returns the number of intra-community edges for a partition of G.

Kept: functions at the margin of a module or a class, of at most `MAX_LINES` lines and `MAX_CHARS` characters
without their docstring, blank lines and decorators, whose first sentence has 4 to 15 words. Left out: tests,
demos, dunder methods, bodies of fewer than `MIN_BODY` words ("return self._options") or that only raise, and
sentences that say no more than the function's name, that are not plain English (formulas, links,
deprecations) or that stand twice. Back-quotes and cross-references are removed from what is kept.

A module is in one split only. A function of train or dev is dropped if its name is in test (or, in train, in
dev), or if it nearly repeats a function there: a package implements one interface many times. A docstring
tells more than a body can, so no model gets near 1.0.
"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

from harness.errors import PluginError
from harness.scoring import first_lines, rouge_l
from harness.task import Example, Splits, Task, digest, mixed

Function = ast.FunctionDef | ast.AsyncFunctionDef

PACKAGES = {"django": "Django==5.2.19", "networkx": "networkx==3.6.1", "textual": "textual==8.2.8"}
INSTRUCTION = "Say in one sentence what this Python function does."
MAX_LINES = 15
MAX_CHARS = 480
MIN_BODY = 4
SIZES = {"test": 300, "dev": 200}
MODULE_CAP = 12  # functions of a module in test or dev; larger modules go to train
NEAR = 0.5  # Jaccard similarity of pairs of neighbouring words from which two functions are one

HUB_PATH = "google/code_x_glue_ct_code_to_text"
# The hub's own conversion to parquet. No project was found that pins a commit of this data set, and the hub
# was out of reach when this was written, so that no commit could be named with certainty.
HUB_REVISION = "refs/convert/parquet"
HUB_CODE = 2_000  # characters of a function, docstring included, from which it is not worth parsing

_SKIP = re.compile(r"test|demo|/locale/|/migrations/")
_SENTENCE = re.compile(r"[A-Z][A-Za-z0-9 ,'()/_.:;=-]*[a-zA-Z0-9)'][.:]?")
_MARKUP = re.compile(r"\[([^\]]*)\]\[[^\]]*\]|:\w+:(?=`)|[`*\"]")
_UNWANTED = re.compile(
    r"https?:|::|\.\.|\b(?:e\.g|i\.e)\.|\b(?:deprecated|todo|fixme|private api|see)\b|^override\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[A-Za-z]+|[0-9]+|[^\sA-Za-z0-9_]")
# Words that say nothing about one function in particular.
_FILLERS = """
a an and any are as at be by class current do does field for from function get gets given has have if in
instance into is it its method new object of on or return returns self set sets should that the this to
value values was when whether which widget with
"""


class CodeSummary(Task):
    """One-sentence summaries of short Python functions, scored by their overlap with the docstring."""

    name = "code_summary"
    version = 1
    family = "code"
    metric = "rougeL"
    stop = "\n"
    sizes: ClassVar[tuple[int, int, int] | None] = (2154, 200, 300)
    description = "First sentence of the docstring of a short Python function."
    source = "Django 5.2.19, networkx 3.6.1 and textual 8.2.8"
    license = "BSD-3-Clause (Django, networkx), MIT (textual)"

    def load(self) -> Splits:
        """Read the packages; about three seconds.

        Raises:
            PluginError: One of them is not installed.
        """
        modules: dict[str, list[Example]] = defaultdict(list)
        for example in _distinct(sorted(_read(), key=lambda e: digest(e.id))):
            modules[example.group].append(example)
        order = sorted(modules, key=digest)
        pools: dict[str, list[Example]] = {"test": [], "dev": [], "train": []}
        known = _Known()
        for split, pool in pools.items():  # test first, so that it loses nothing to its likes in train
            for module in list(order):
                rows = modules[module]
                if split in SIZES and (len(rows) > MODULE_CAP or len(pool) == SIZES[split]):
                    continue
                order.remove(module)
                fresh = [example for example in rows if known.admits(example)]
                pool.extend(fresh[: SIZES.get(split, len(pool) + len(fresh)) - len(pool)])
            known.remember(pool)
        return _mixed(pools)

    def prompt(self, example: Example) -> str:
        """The function without its docstring."""
        return f"{INSTRUCTION}\n\n{example.data['code']}\n\nSummary:"

    def target(self, example: Example) -> str:
        """The first sentence of the docstring."""
        return example.data["summary"]

    def score(self, example: Example, output: str) -> float:
        """ROUGE-L between the docstring's sentence and the output's first line with text."""
        return rouge_l(example.data["summary"], first_lines(output))

    def naive(self, example: Example) -> str | None:
        """The function's name in words."""
        return " ".join(_name_words(example.data["name"])).capitalize() + "."


def _read() -> Iterator[Example]:
    """Every function that is kept, in the order of file names and lines."""
    for package, requirement in PACKAGES.items():
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise PluginError(f"code_summary needs its data: pip install {requirement}")
        root = Path(spec.submodule_search_locations[0])
        for path in sorted(root.rglob("*.py"), key=lambda path: path.relative_to(root).as_posix()):
            module = f"{package}/{path.relative_to(root).as_posix()}"
            if not _SKIP.search(module):
                yield from _functions(module, path.read_text(encoding="utf-8"))


def _functions(module: str, text: str) -> Iterator[Example]:
    if '"""' not in text:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        tree = ast.parse(text)
    lines = text.split("\n")
    for node in _definitions(tree):
        summary = _summary(ast.get_docstring(node) or "")
        code = _code(node, lines)
        if summary and code and not _says_its_name(node.name, summary):
            data = {"code": code, "summary": summary, "name": node.name}
            yield Example(id=f"{module}:{node.lineno}", group=module, data=data)


def _definitions(tree: ast.Module | ast.ClassDef) -> Iterator[Function]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from _definitions(node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("__"):
            yield node


def _code(node: Function, lines: list[str]) -> str | None:
    """The function's lines without its docstring, at the margin; None if they say too little or too much."""
    if all(isinstance(step, ast.Pass | ast.Raise) for step in node.body[1:]):
        return None
    start, stop = node.body[0].lineno - 1, node.body[0].end_lineno
    head = [line for line in lines[node.lineno - 1 : start] if line.strip()]
    body = [line for line in lines[stop : node.end_lineno] if line.strip()]
    code = "\n".join(line[node.col_offset :].rstrip() for line in (*head, *body))
    margin = "".join(line[: node.col_offset] for line in (*head, *body))
    if len(head) + len(body) > MAX_LINES or len(code) > MAX_CHARS or not code.isascii() or margin.strip():
        return None
    return code if len(re.findall(r"\w+", " ".join(body))) >= MIN_BODY else None


def _summary(docstring: str) -> str | None:
    """The first sentence without markup, ending in a full stop; None if it is no plain sentence."""
    paragraph = " ".join(docstring.strip().partition("\n\n")[0].split())
    text = _MARKUP.sub(lambda match: match.group(1) or "", paragraph)
    sentence = re.split(r"(?<=[.!?:])\s+(?=[A-Z(])", text)[0]
    plain = _SENTENCE.fullmatch(sentence) and not _UNWANTED.search(sentence)
    return sentence.rstrip(".:") + "." if plain and 4 <= len(sentence.split()) <= 15 else None


def _name_words(name: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", name)]


def _says_its_name(name: str, summary: str) -> bool:
    """Whether all that the summary says is in the name; words with the same first four letters are one."""
    own = {word[:4] for word in _name_words(name)}
    return all(word[:4] in own or word in _FILLERS.split() for word in _name_words(summary))


def _distinct(examples: Iterable[Example]) -> list[Example]:
    """Functions whose code and summary are theirs alone; of repeated ones the first."""
    seen: set[str] = set()
    kept = []
    for example in examples:
        texts = {" ".join(_name_words(example.data["summary"])), " ".join(example.data["code"].split())}
        if not texts & seen:
            kept.append(example)
        seen |= texts
    return kept


class _Known:
    """Remembers functions by name and by code, and tells whether another is nearly one of them."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.sizes: list[int] = []
        self.holders: dict[str, list[int]] = defaultdict(list)

    def admits(self, example: Example) -> bool:
        """Whether no remembered function has the name, or code or summary near this one's."""
        if example.data["name"].strip("_") in self.names:
            return False
        own = _pairs(example)
        shared = Counter(holder for pair in own for holder in self.holders.get(pair, ()))
        return all(n < NEAR * (len(own) + self.sizes[holder] - n) for holder, n in shared.items())

    def remember(self, examples: list[Example]) -> None:
        """Add these; until then they do not hinder each other."""
        for example in examples:
            self.names.add(example.data["name"].strip("_"))
            own = _pairs(example)
            for pair in own:
                self.holders[pair].append(len(self.sizes))
            self.sizes.append(len(own))


def _pairs(example: Example) -> set[str]:
    """Neighbouring words and signs of the code after its first line, and of the summary."""
    words = _WORD.findall(example.data["code"].partition("\n")[2]), _WORD.findall(example.data["summary"])
    return {f"{one} {other}" for text in words for one, other in pairwise(text)}


def _mixed(pools: dict[str, list[Example]]) -> Splits:
    return mixed(pools)


class CodeSearchNet(CodeSummary):
    """The hub twin: Python functions of CodeSearchNet, as cleaned for CodeXGLUE's code-to-text.

    The published splits and the rules of `CodeSummary`, but for near repetitions, which are not looked for. A
    repository is in one split only.
    """

    name = "code_search_net"
    description = "First sentence of the docstring of a short Python function; read from the hub."
    source = f"hub data set {HUB_PATH}, python, {HUB_REVISION}"
    sizes = None
    hub_twin = None
    license = "C-UDA (data set); the functions under their repositories' licences"

    def __init__(self, path: str = HUB_PATH) -> None:
        """Read from `path`: a hub data set, or a folder laid out like one."""
        self.path = path

    def load(self) -> Splits:
        """Read the three published splits; minutes, most of them parsing."""
        from datasets import load_dataset

        data = load_dataset(self.path, "python", revision=HUB_REVISION)
        owner: dict[str, str] = {}
        rows: dict[str, Example] = {}
        for split, published in (("test", "test"), ("dev", "validation"), ("train", "train")):
            columns = zip(data[published]["repo"], data[published]["code"], strict=True)
            for row, (repository, code) in enumerate(columns):
                if owner.setdefault(repository, split) == split and len(code) <= HUB_CODE:
                    for example in _parsed(repository, code):
                        rows[f"{published}/{row}"] = replace(example, id=f"{published}/{row}")
        pools: dict[str, list[Example]] = {"train": [], "dev": [], "test": []}
        for example in _distinct(rows.values()):
            pools[owner[example.group]].append(example)
        return _mixed(pools)


def _parsed(repository: str, code: str) -> Iterator[Example]:
    """The function, if it is one of Python 3. A method's body comes indented as it was in its class."""
    first, _, rest = code.strip().partition("\n")
    text = f"{first}\n{textwrap.indent(textwrap.dedent(rest), '    ')}"
    try:
        yield from _functions(repository, text)
    except (SyntaxError, ValueError):
        return


CodeSummary.hub_twin = CodeSearchNet
