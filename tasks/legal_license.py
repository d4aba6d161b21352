"""Which kind of licence does this text grant? The article's legal document categorisation, on real texts.

Source: the ScanCode licence database in the package `licensedcode-data` 32.1.0 (data: CC-BY-4.0, nexB Inc.
and others): 34,859 rules and 2,310 licences found in real software, each expert-labelled with a licence key
and, through the key, a category. One row:

    text:  Distributed under the terms of the GNU General Public License v2
    label: copyleft

Kept: English licence texts and notices (not bare references, tags or addresses) of exactly one current
licence, from their start to `MAX_CHARS`. ScanCode's categories become five labels. Its Commercial,
Proprietary Free, Source-available and Free Restricted are one label, "restricted", since what tells them
apart is a business model rather than the words of a notice: all four withhold the right to use, change or
pass on freely. Unstated licences, contributor agreements and patent grants are left out.

What the source allows: of 10,758 distinct texts 588 are public domain (33 keys, most with one text). So dev
and test are balanced exactly, train up to `PER_CLASS` (public domain falls short), and two or three keys hold
most public domain texts. No licence key is in two splits, none fills more than `KEY_CAP` of a class, and a
text that nearly repeats one of its own class in dev or test is dropped. Labels are ScanCode's, with its
occasional slips (a "by-nc-sa" notice filed under cc-by-sa).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import cycle, zip_longest
from pathlib import Path

from harness.errors import PluginError
from harness.task import Example, Splits, Task, digest, mixed

CATEGORIES = {
    "Permissive": "permissive",
    "Copyleft Limited": "weak copyleft",
    "Copyleft": "copyleft",
    "Public Domain": "public domain",
    "Commercial": "restricted",
    "Proprietary Free": "restricted",
    "Source-available": "restricted",
    "Free Restricted": "restricted",
}
MAX_CHARS = 240
MIN_WORDS = 10
# A class's keys are dealt in this order from the largest to the smallest, so that each split gets large and
# small ones: a random deal could put all but a handful of the public domain texts into one split.
DEAL = ("train", "test", "dev", "test", "train")
PER_CLASS = {"test": 80, "dev": 40, "train": 440}
KEY_CAP = {"test": 30, "dev": 25, "train": 240}
NEAR = 0.6  # Jaccard similarity of four-word shingles from which two texts count as the same

LEDGAR_PATH = "coastalcph/lex_glue"
# The parquet release, as pinned by several public projects; it was not fetched when this was written.
LEDGAR_REVISION = "c23fdff1a6bf74e0e1a71cb86f1e781d37da888c"
LEDGAR_MAX_CHARS = 600
LEDGAR_HEADINGS = (
    "Adjustments, Agreements, Amendments, Anti-Corruption Laws, Applicable Laws, Approvals, Arbitration, "
    "Assignments, Assigns, Authority, Authorizations, Base Salary, Benefits, Binding Effects, Books, "
    "Brokers, Capitalization, Change In Control, Closings, Compliance With Laws, Confidentiality, Consent "
    "To Jurisdiction, Consents, Construction, Cooperation, Costs, Counterparts, Death, Defined Terms, "
    "Definitions, Disability, Disclosures, Duties, Effective Dates, Effectiveness, Employment, "
    "Enforceability, Enforcements, Entire Agreements, Erisa, Existence, Expenses, Fees, Financial "
    "Statements, Forfeitures, Further Assurances, General, Governing Laws, Headings, Indemnifications, "
    "Indemnity, Insurances, Integration, Intellectual Property, Interests, Interpretations, "
    "Jurisdictions, Liens, Litigations, Miscellaneous, Modifications, No Conflicts, No Defaults, No "
    "Waivers, Non-Disparagement, Notices, Organizations, Participations, Payments, Positions, Powers, "
    "Publicity, Qualifications, Records, Releases, Remedies, Representations, Sales, Sanctions, "
    "Severability, Solvency, Specific Performance, Submission To Jurisdiction, Subsidiaries, Successors, "
    "Survival, Tax Withholdings, Taxes, Terminations, Terms, Titles, Transactions With Affiliates, Use Of "
    "Proceeds, Vacations, Venues, Vesting, Waiver Of Jury Trials, Waivers, Warranties, Withholdings"
)

FIELD = re.compile(r"^(\w+): *(.*?) *$", re.MULTILINE)
# Comment markers at either end of a line; rulers, comment brackets and ScanCode's {{required phrase}} marks.
MARKERS = re.compile(
    r"^[ \t]*(?:(?:[#*;%!>|~./\\-]+|dnl|rem|REM)(?=\s|$)[ \t]*|[/#*]+[ \t]*)+|[ \t]*\*+/?[ \t]*$",
    re.MULTILINE,
)
RULERS = re.compile(r"[-=*_#~+]{3,}|\{\{|\}\}|/\*+|\*+/")


class LegalLicense(Task):
    """Five-way classification of licence texts and notices."""

    name = "legal_license"
    version = 1
    family = "classification"
    metric = "accuracy"
    labels = ("permissive", "weak copyleft", "copyleft", "public domain", "restricted")
    description = "Kind of licence granted by a real licence text or notice, five classes."
    source = "licensedcode-data 32.1.0 (ScanCode licence database)"
    license = "CC-BY-4.0"
    sizes = (2049, 200, 400)

    def load(self) -> Splits:
        """Read the installed database; about two seconds.

        Raises:
            PluginError: `licensedcode-data` is not installed.
        """
        by_class: dict[str, dict[str, list[Example]]] = {label: defaultdict(list) for label in self.labels}
        for example in _distinct(_read()):
            by_class[example.data["label"]][example.group].append(example)
        pools: dict[str, list[Example]] = {"test": [], "dev": [], "train": []}
        for by_key in by_class.values():
            order = sorted(by_key, key=lambda key: (-len(by_key[key]), digest(key)))
            kept = _Shingles()
            for split, pool in pools.items():  # test first: it must not lose a text to its twin in train
                keys = [key for key, side in zip(order, cycle(DEAL), strict=False) if side == split]
                taken: Counter[str] = Counter()
                for example in _round_robin([by_key[key] for key in keys]):
                    if taken.total() == PER_CLASS[split]:
                        break
                    if taken[example.group] < KEY_CAP[split] and kept.admits(example, split != "train"):
                        taken[example.group] += 1
                        pool.append(example)
        return mixed(pools)

    def prompt(self, example: Example) -> str:
        """The text and the five kinds to choose from."""
        kinds = ", ".join(self.labels)
        return f"Licence notice:\n{example.data['text']}\n\nKind of licence ({kinds}):"

    def target(self, example: Example) -> str:
        """The label."""
        return example.data["label"]

    def score(self, example: Example, output: str) -> float:
        """1.0 for the exact label, else 0.0."""
        return float(output.strip() == example.data["label"])


def _read() -> Iterator[Example]:
    """Every English text or notice of one current licence, licences first, in file name order."""
    spec = find_spec("licensedcode")
    if spec is None or not spec.submodule_search_locations:
        raise PluginError("legal_license needs its data: pip install licensedcode-data==32.1.0")
    data = Path(spec.submodule_search_locations[0], "data")
    labels: dict[str, str] = {}
    for path in sorted((data / "licenses").glob("*.LICENSE")):
        fields, text = _split(path.read_bytes())
        if fields.get("category") in CATEGORIES and _is_current_english(fields):
            labels[fields["key"]] = CATEGORIES[fields["category"]]
            yield _example(path.name, fields["key"], labels, text)
    for path in sorted((data / "rules").glob("*.RULE")):
        raw = path.read_bytes()
        # Half of the rules end here; parsing 35,000 front matters as YAML would take 13 seconds.
        if b"\nis_license_notice: yes" not in raw and b"\nis_license_text: yes" not in raw:
            continue
        fields, text = _split(raw)
        key = fields.get("license_expression", "")
        if key in labels and "is_false_positive" not in fields and _is_current_english(fields):
            yield _example(path.name, key, labels, text)


def _split(raw: bytes) -> tuple[dict[str, str], str]:
    """The scalar fields of the front matter, and the text after it."""
    _, head, body = re.split(r"^---[ ]*$", raw.decode().replace("\r\n", "\n"), maxsplit=2, flags=re.MULTILINE)
    return dict(FIELD.findall(head)), body


def _is_current_english(fields: dict[str, str]) -> bool:
    return "is_deprecated" not in fields and fields.get("language", "en") == "en"


def _example(name: str, key: str, labels: dict[str, str], text: str) -> Example:
    start = text[: 10 * MAX_CHARS]  # comment boxes are mostly spaces
    line = _line(RULERS.sub(" ", MARKERS.sub(" ", start)), MAX_CHARS)
    return Example(id=name, group=key, data={"text": line, "label": labels[key]})


def _line(text: str, limit: int) -> str:
    """`text` on one line, cut between words to at most `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit + 1].rpartition(" ")[0]


def _words(example: Example) -> list[str]:
    return re.findall(r"[a-z0-9]+", example.data["text"].lower())


def _distinct(examples: Iterator[Example]) -> list[Example]:
    """The first of each normalised text in hash order; texts that carry two labels are dropped altogether."""
    by_text: dict[str, list[Example]] = defaultdict(list)
    for example in sorted(examples, key=lambda e: digest(e.id)):
        words = _words(example)
        if len(words) >= MIN_WORDS:
            by_text[" ".join(words)].append(example)
    return [same[0] for same in by_text.values() if len({e.data["label"] for e in same}) == 1]


class _Shingles:
    """Remembers texts, and tells whether another is nearly one of them."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.holders: dict[str, list[int]] = defaultdict(list)

    def admits(self, example: Example, remember: bool) -> bool:
        """Whether no remembered text is `NEAR` this one. Years, versions and postcodes do not count."""
        words = [word for word in _words(example) if not word.isdigit()]
        own = {" ".join(words[i : i + 4]) for i in range(max(1, len(words) - 3))}
        shared = Counter(holder for shingle in own for holder in self.holders.get(shingle, ()))
        if any(n >= NEAR * (len(own) + self.sizes[holder] - n) for holder, n in shared.items()):
            return False
        if remember:
            for shingle in own:
                self.holders[shingle].append(len(self.sizes))
            self.sizes.append(len(own))
        return True


def _round_robin(keys: list[list[Example]]) -> Iterator[Example]:
    """One example of every key, then a second of each, so that small keys are not crowded out."""
    for row in zip_longest(*keys):
        yield from (example for example in row if example is not None)


class Ledgar(Task):
    """The hub twin: 80,000 provisions of contracts filed with the SEC, each under one of 100 headings.

    LEDGAR as published in LexGLUE, with its own splits. A provision whose text is already in test or dev is
    dropped from the later split. The contract a provision came from is not in the data, so two provisions of
    one contract may stand on two sides.
    """

    name = "ledgar"
    version = 1
    family = "classification"
    metric = "accuracy"
    labels = tuple(LEDGAR_HEADINGS.split(", "))
    description = "Heading of a contract provision, 100 classes; read from the hub."
    source = f"hub data set {LEDGAR_PATH}, ledgar, revision {LEDGAR_REVISION[:10]}"
    license = "CC-BY-4.0"

    def __init__(self, path: str = LEDGAR_PATH) -> None:
        """Read from `path`: a hub data set, or a folder laid out like one."""
        self.path = path

    def load(self) -> Splits:
        """Read the three published splits.

        Raises:
            PluginError: The headings in the data are not `labels`.
        """
        from datasets import load_dataset

        data = load_dataset(self.path, "ledgar", revision=LEDGAR_REVISION)
        headings = tuple(data["train"].features["label"].names)
        if headings != self.labels:
            raise PluginError(
                f"the headings in {self.path!r} are not those of LEDGAR; got {headings[:3]}, ..."
            )
        seen: set[str] = set()
        pools: dict[str, list[Example]] = {}
        for split, published in (("test", "test"), ("dev", "validation"), ("train", "train")):
            pools[split] = []
            rows = zip(data[published]["text"], data[published]["label"], strict=True)
            for row, (text, label) in enumerate(rows):
                line = _line(text, LEDGAR_MAX_CHARS)
                name = f"{published}/{row}"
                example = Example(id=name, group=name, data={"text": line, "label": headings[label]})
                normalised = " ".join(_words(example))
                if normalised and normalised not in seen:
                    seen.add(normalised)
                    pools[split].append(example)
        return mixed(pools)

    def prompt(self, example: Example) -> str:
        """The provision; a hundred headings would be longer than the provision, so they are not listed."""
        return f"Contract provision:\n{example.data['text']}\n\nHeading of this provision:"

    def target(self, example: Example) -> str:
        """The heading."""
        return example.data["label"]

    def score(self, example: Example, output: str) -> float:
        """1.0 for the exact heading, else 0.0."""
        return float(output.strip() == example.data["label"])


LegalLicense.hub_twin = Ledgar
