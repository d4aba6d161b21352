"""To which chapter of ICD-10-CM does this diagnosis belong? The first step of coding it.

Source: the tabular list of ICD-10-CM, April 2026, as packed in `simple-icd-10-cm` 1.5.0 (code: MIT).
The list is the US adaptation of WHO's ICD-10 by the National Center for Health Statistics: a work of the US
government, for which the CDC asks to be named; the ICD-10 beneath it is WHO's copyright. One row:

    diagnosis: Pseudocyst of retina
    chapter:   eye

Used are the titles of categories and codes at every depth and the "inclusion terms" below them, which are
the names that clinicians use. Sixteen of the 22 chapters are labels. Left out are those that hold no
diagnoses (external causes, reasons for contact, provisional codes), symptoms, whose terms turn up in the
chapters of the organs as well, and ear and blood, which have too few categories (24 and 35) to be split.
So are terms that mean little without their place in the list (inclusion terms of a single word, terms that
name other codes) and those above `MAX_CHARS` characters. A closing "NOS" and asides in brackets are removed.

Most codes repeat others but for side, trimester, stage or encounter, so a category gives at most `CAP` terms
that differ in their content words. A category is in one split only, and a term of train whose content words
nearly repeat one of its own chapter in dev or test (diabetes of another type) is dropped.
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

CHAPTERS = {
    "1": "infection",
    "2": "tumor",
    "4": "endocrine",
    "5": "mental",
    "6": "nervous",
    "7": "eye",
    "9": "circulatory",
    "10": "respiratory",
    "11": "digestive",
    "12": "skin",
    "13": "musculoskeletal",
    "14": "genitourinary",
    "15": "pregnancy",
    "16": "perinatal",
    "17": "congenital",
    "19": "injury",
}
DATA = "icd10c-tabular-April-1-2026.xml"
MAX_CHARS = 100
CAP = {"test": 4, "dev": 4, "train": 7}  # terms of one category
SHARE = {"test": 0.22, "dev": 0.14}  # of a chapter's categories; the rest is train's
PER_CLASS = {"test": 25, "train": 150}
DEV = 200  # sixteen classes do not divide it: half of them have 13 terms, half 12
ALIKE = 0.5  # Jaccard similarity of content words from which two terms of one category count as the same
NEAR = 0.6  # the same for two terms of one chapter on two sides

CODE = re.compile(r"\b[A-Z]\d[0-9A-Z](?:\.|\b)|\bcode[ds]?\b")
OPTIONAL = re.compile(r"\((\w+)\)(?=\w)")  # half a word: "(teno)synovitis"
# A closing "NOS", and what brackets or parentheses hold: abbreviations, synonyms, optional words.
ASIDE = re.compile(r",? NOS\b|\[[^\]]*\]|\([^)]*\)")
# Words, in the singular, that tell codes apart within a category but do not make another diagnosis of it.
QUALIFIERS = frozenset(
    re.findall(
        "[a-z]+",
        "a an and at by due for from in into of on or other the to type with without not elsewhere "
        "classified specified unspecified disease disorder condition site left right bilateral unilateral "
        "upper lower acute chronic mild moderate severe primary secondary single multiple recurrent current "
        "initial subsequent first second third trimester degree stage grade part level i ii iii iv v nec",
    )
)


class MedicalCoding(Task):
    """Sixteen-way classification of diagnoses by chapter of ICD-10-CM."""

    name = "medical_coding"
    version = 1
    family = "classification"
    metric = "accuracy"
    labels = tuple(CHAPTERS.values())
    description = "Chapter of ICD-10-CM to which a diagnosis belongs, sixteen classes."
    source = "simple-icd-10-cm 1.5.0 (ICD-10-CM tabular list, April 2026)"
    sizes = (2400, DEV, 400)
    license = "US government work (CDC/NCHS, to be named as source); adapts WHO's ICD-10"

    def load(self) -> Splits:
        """Read the installed tabular list; about a second.

        Raises:
            PluginError: `simple-icd-10-cm` is not installed.
        """
        by_class: dict[str, dict[str, list[Example]]] = {label: defaultdict(list) for label in self.labels}
        for example in _distinct(_read()):
            by_class[example.data["label"]][example.group].append(example)
        pools: dict[str, list[Example]] = {"test": [], "dev": [], "train": []}
        for index, by_category in enumerate(by_class.values()):
            order = sorted(by_category, key=digest)
            held = 0
            seen: list[frozenset[str]] = []
            for split, pool in pools.items():  # test first: it must not lose a term to its twin in train
                count = round(SHARE.get(split, 1) * len(order))
                categories = order[held : held + count]
                held += count
                wanted = PER_CLASS.get(split) or DEV // len(by_class) + (index < DEV % len(by_class))
                terms = [_unalike(by_category[category])[: CAP[split]] for category in categories]
                fresh = [e for e in _round_robin(terms) if not _near(_content(e), seen, NEAR)][:wanted]
                seen += [_content(example) for example in fresh]
                pool += fresh
        return mixed(pools)

    def prompt(self, example: Example) -> str:
        """The chapters to choose from, which all prompts share, then the diagnosis."""
        return f"Chapters: {', '.join(self.labels)}.\n\nDiagnosis: {example.data['term']}\nChapter:"

    def target(self, example: Example) -> str:
        """The chapter."""
        return example.data["label"]

    def score(self, example: Example, output: str) -> float:
        """1.0 for the exact label, else 0.0."""
        return float(output.strip() == example.data["label"])

    def naive(self, example: Example) -> str:
        """The first label that stands in the term, word for word; the first of all where none does."""
        term = example.data["term"].lower()
        return next((label for label in self.labels if label in term), self.labels[0])


def _read() -> Iterator[Example]:
    """Every usable title and inclusion term of the chapters used, in the order of the list."""
    spec = find_spec("simple_icd_10_cm")
    if spec is None or not spec.submodule_search_locations:
        raise PluginError("medical_coding needs its data: pip install simple-icd-10-cm==1.5.0")
    root = ElementTree.parse(Path(spec.submodule_search_locations[0], "data", DATA)).getroot()
    for chapter in root.iterfind("chapter"):
        label = CHAPTERS.get(chapter.findtext("name", ""))
        if label is None:
            continue
        for category in chapter.iterfind("section/diag"):
            group = category.findtext("name", "")
            for code in category.iter("diag"):
                texts = [code.findtext("desc", "")]
                texts += [note.text or "" for note in code.iterfind("inclusionTerm/note")]
                for index, text in enumerate(texts):
                    term = _tidy(text)
                    if not CODE.search(text) and len(term) <= MAX_CHARS and (index == 0 or " " in term):
                        name = f"{code.findtext('name')}/{index}"
                        yield Example(id=name, group=group, data={"term": term, "label": label})


def _tidy(text: str) -> str:
    """`text` without asides, on one line, with a capital."""
    term = " ".join(ASIDE.sub("", OPTIONAL.sub(r"\1", text)).split()).replace(" ,", ",").rstrip(" .:,")
    return term[:1].upper() + term[1:]


def _words(example: Example) -> list[str]:
    return re.findall(r"[a-z0-9]+", example.data["term"].lower())


def _content(example: Example) -> frozenset[str]:
    """The words of a term that carry its meaning, without a plural's "s"; numbers do not count."""
    words = {word.removesuffix("s") for word in _words(example) if not word.isdigit()}
    return frozenset(words - QUALIFIERS)


def _distinct(examples: Iterator[Example]) -> list[Example]:
    """The first of each normalised term in hash order; terms of two chapters or no content are dropped."""
    by_term: dict[str, list[Example]] = defaultdict(list)
    for example in sorted(examples, key=lambda e: digest(e.id)):
        if _content(example):
            by_term[" ".join(_words(example))].append(example)
    return [same[0] for same in by_term.values() if len({e.data["label"] for e in same}) == 1]


def _unalike(examples: Iterable[Example]) -> list[Example]:
    """Those of a category that are not `ALIKE` an earlier one."""
    kept: list[Example] = []
    seen: list[frozenset[str]] = []
    for example in examples:
        if not _near(_content(example), seen, ALIKE):
            kept.append(example)
            seen.append(_content(example))
    return kept


def _near(words: frozenset[str], others: Iterable[frozenset[str]], limit: float) -> bool:
    return any(len(words & other) >= limit * len(words | other) for other in others)


def _round_robin(categories: list[list[Example]]) -> Iterator[Example]:
    """One term of every category, then a second of each, so that small categories are not crowded out."""
    for row in zip_longest(*categories):
        yield from (example for example in row if example is not None)
