"""What kind of security weakness does this text describe? Triage of findings and advisories.

Source: the Common Weakness Enumeration 4.14 as packed in `cwe2` 3.0.0 (code: MIT; data: MITRE's CWE terms of
use, which allow research and commercial use with MITRE's copyright notice). One row:

    text:     FTP server allows deletion of arbitrary files using ".." in the DELE command.
    category: file handling

Labels come from MITRE's own view 1400 ("Comprehensive Categorization"), which puts each weakness into exactly
one of 22 categories. Eight labels are used, one a category, but for cryptography, which is encryption and
randomness. Left out are resource lifecycle, which ranges from uploads to missing initialisation, exposed
resources and neutralization, which overlap with information exposure and injection, and ten smaller ones.

There are fewer than 1,000 weaknesses, 532 of them in these categories, so each gives several rows: its name,
its description, the opening of its extended description, and its observed examples, which sum up CVE entries
in a line. Left out are mitigations and consequences, which tell of the cure and the damage rather than the
weakness, later paragraphs (background), examples that name a chain of weaknesses, and texts that stand under
two labels. This is short of 2,000 rows for train: the source has no more such texts.

Weaknesses of one label whose descriptions nearly repeat (the variants of path traversal) form one group, and
a group is in one split only; a text that nearly repeats one of its own label in test or dev is dropped from
the later split. Dev and test are balanced; in train most categories fall short of `PER_CLASS`. An observed
example can show two weaknesses at once, of which the catalogue names one: labels are right, not exclusive.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from itertools import zip_longest
from pathlib import Path

from harness.errors import PluginError
from harness.task import Example, Splits, Task, digest, mixed

CATEGORIES = {
    "1396": "access control",
    "1409": "injection",
    "1404": "file handling",
    "1399": "memory safety",
    "1401": "concurrency",
    "1402": "cryptography",
    "1414": "cryptography",
    "1417": "exposure",
    "1412": "coding practice",
}
DATA = "database_v49/cwec_v4.14.xml"
SPACE = "{http://cwe.mitre.org/cwe-7}"
MAX_CHARS = 240
MIN_WORDS = 6
PER_CLASS = {"test": 40, "dev": 25, "train": 220}
GROUP_CAP = {"test": 15, "dev": 14}  # texts of one group
SPARE = 1.15  # what is dealt to test and dev, over what they need: some texts repeat one elsewhere
NEAR = 0.55  # Jaccard similarity of words from which two texts count as the same

CODES = re.compile(r" ?\((?:CWE|CVE|CAPEC|REF|X)[- ]\d[^)]*\)| ?\[REF-\d+\]", re.IGNORECASE)
NAMED = re.compile(r"\b(?:CWE|CVE|CAPEC)-\d|^\W*(?:chain|composite)\b|\bthis (?:entry|CWE)\b", re.IGNORECASE)
SENTENCE = re.compile(r"(?<!e\.g\.)(?<!i\.e\.)(?<=[a-z)\"'][.!?]) (?=[A-Z\"'])")
COMMON = frozenset(
    re.findall(
        "[a-z]+",
        "a an and are as be but by can could does for from has have if in into is it its may might not of on "
        "or such that the them then these they this to used uses using via when which while will with would "
        "product software program application code attacker attackers user users allow allows allowing",
    )
)


class SecurityWeakness(Task):
    """Eight-way classification of weakness descriptions by MITRE's categories."""

    name = "security_weakness"
    version = 1
    family = "classification"
    metric = "accuracy"
    labels = tuple(dict.fromkeys(CATEGORIES.values()))
    description = "Kind of security weakness described by a text from the CWE, eight classes."
    source = "cwe2 3.0.0 (CWE 4.14, categories of view 1400)"
    sizes = (964, 200, 320)
    license = "CWE terms of use (LicenseRef-scancode-cwe-tou), copyright The MITRE Corporation"

    def load(self) -> Splits:
        """Read the installed catalogue; under a second.

        Raises:
            PluginError: `cwe2` is not installed.
        """
        by_class: dict[str, dict[str, list[Example]]] = {label: defaultdict(list) for label in self.labels}
        for example in _distinct(_read()):
            by_class[example.data["label"]][example.group].append(example)
        pools: dict[str, list[Example]] = {"test": [], "dev": [], "train": []}
        for by_group in by_class.values():
            sides = _deal([_unlike(texts, []) for texts in by_group.values()])
            seen: list[frozenset[str]] = []
            for split, pool in pools.items():  # test first: it must not lose a text to its twin in train
                fresh = _unlike(_round_robin(sides[split]), seen)[: PER_CLASS[split]]
                seen += [_content(example) for example in fresh]
                pool += fresh
        return mixed(pools)

    def prompt(self, example: Example) -> str:
        """The categories to choose from, which all prompts share, then the text."""
        return f"Categories: {', '.join(self.labels)}.\n\nWeakness: {example.data['text']}\nCategory:"

    def target(self, example: Example) -> str:
        """The category."""
        return example.data["label"]

    def score(self, example: Example, output: str) -> float:
        """1.0 for the exact label, else 0.0."""
        return float(output.strip() == example.data["label"])

    def naive(self, example: Example) -> str:
        """The first label whose first word stands in the text; the first of all where none does."""
        words = set(_words(example.data["text"]))
        return next((label for label in self.labels if label.split()[0] in words), self.labels[0])


def _read() -> list[Example]:
    """Every usable text of the weaknesses in the categories used, grouped, in the catalogue's order."""
    spec = find_spec("cwe2")
    if spec is None or not spec.submodule_search_locations:
        raise PluginError("security_weakness needs its data: pip install cwe2==3.0.0")
    root = ElementTree.parse(Path(spec.submodule_search_locations[0], DATA)).getroot()
    labels = {
        member.get("CWE_ID", ""): label
        for category in root.iter(f"{SPACE}Category")
        if (label := CATEGORIES.get(category.get("ID", "")))
        for member in category.iter(f"{SPACE}Has_Member")
    }
    weaknesses = {
        key: weakness
        for weakness in root.iter(f"{SPACE}Weakness")
        if (key := weakness.get("ID", "")) in labels and weakness.get("Status") != "Deprecated"
    }
    groups = _groups({key: _line(w.find(f"{SPACE}Description")) for key, w in weaknesses.items()}, labels)
    return [
        Example(id=f"CWE-{key}/{field}", group=groups[key], data={"text": text, "label": labels[key]})
        for key, weakness in weaknesses.items()
        for field, text in _texts(weakness)
        if len(_words(text)) >= MIN_WORDS
    ]


def _texts(weakness: ElementTree.Element) -> Iterator[tuple[str, str]]:
    """The texts of one weakness by field, each cut to its first sentences."""
    extended = weakness.find(f"{SPACE}Extended_Description")
    paragraphs = [] if extended is None else list(extended) or [extended]
    fields: dict[str, list[ElementTree.Element | None]] = {
        "description": [weakness.find(f"{SPACE}Description")],
        "example": [*weakness.iterfind(f".//{SPACE}Observed_Example/{SPACE}Description")],
        "extended": [p for p in paragraphs[:1] if p.tag.endswith(("}p", "}Extended_Description"))],
    }
    yield "name/0", weakness.get("Name", "")
    for field, elements in fields.items():
        for index, element in enumerate(elements):
            text = _opening(CODES.sub("", _line(element)))
            if text and not NAMED.search(text):
                yield f"{field}/{index}", text


def _line(element: ElementTree.Element | None) -> str:
    return "" if element is None else " ".join("".join(element.itertext()).split())


def _opening(text: str) -> str:
    """As many first sentences of `text` as fit into `MAX_CHARS`; none if the first is a list's heading."""
    kept = ""
    for sentence in SENTENCE.split(text):
        if len(kept) + 1 + len(sentence) > MAX_CHARS or sentence.endswith(":"):
            break
        kept = f"{kept} {sentence}".strip()
    return kept


def _groups(descriptions: dict[str, str], labels: dict[str, str]) -> dict[str, str]:
    """A name for the group of each weakness: those of one label whose descriptions nearly repeat are one."""
    contents = {key: _content_of(text) for key, text in descriptions.items()}
    group: dict[str, str] = {}
    for key, words in contents.items():
        near = {
            group[other]
            for other in group
            if labels[other] == labels[key] and _near(words, [contents[other]])
        }
        name = min(near, default=f"CWE-{key}")
        group |= {other: name for other, own in group.items() if own in near}
        group[key] = name
    return group


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def _content_of(text: str) -> frozenset[str]:
    return frozenset(word for word in _words(text) if word not in COMMON and not word.isdigit())


def _content(example: Example) -> frozenset[str]:
    return _content_of(example.data["text"])


def _distinct(examples: list[Example]) -> list[Example]:
    """The first of each normalised text in hash order; texts that stand under two labels are dropped."""
    by_text: dict[str, list[Example]] = defaultdict(list)
    for example in sorted(examples, key=lambda e: digest(e.id)):
        by_text[" ".join(_words(example.data["text"]))].append(example)
    return [same[0] for same in by_text.values() if len({e.data["label"] for e in same}) == 1]


def _near(words: frozenset[str], others: Iterable[frozenset[str]]) -> bool:
    return any(len(words & other) >= NEAR * len(words | other) for other in others)


def _unlike(examples: Iterable[Example], others: list[frozenset[str]]) -> list[Example]:
    """Those examples that are near none of `others` and no earlier one of themselves."""
    kept: list[Example] = []
    seen = list(others)
    for example in examples:
        words = _content(example)
        if not _near(words, seen):
            kept.append(example)
            seen.append(words)
    return kept


def _deal(groups: list[list[Example]]) -> dict[str, list[list[Example]]]:
    """The groups of one label by split: from the largest on, each to the split that lacks most."""
    wanted = {split: SPARE * PER_CLASS[split] for split in GROUP_CAP}
    wanted["train"] = max(1.0, sum(map(len, groups)) - sum(wanted.values()))
    lacking = {split: wanted[split] for split in ("train", "test", "dev")}
    sides: dict[str, list[list[Example]]] = {split: [] for split in lacking}
    for texts in sorted(groups, key=lambda texts: (-len(texts), digest(texts[0].group))):
        split = max(lacking, key=lambda side: lacking[side] / wanted[side])
        sides[split].append(texts[: GROUP_CAP.get(split)])
        lacking[split] -= len(sides[split][-1])
    return sides


def _round_robin(groups: list[list[Example]]) -> Iterator[Example]:
    """One text of every group, then a second of each, so that small groups are not crowded out."""
    for row in zip_longest(*groups):
        yield from (example for example in row if example is not None)
