"""The English name of a place, a language or a currency, from one of six European languages.

Source: the display names of CLDR, as shipped by `babel` 2.18.0 (the package is BSD-3-Clause, its CLDR data
Unicode-3.0). One row:

    from Spanish: peso mexicano
    to English:   Mexican Peso

The three kinds of name and the six languages weigh the same in dev and test. A concept, such as the Mexican
peso, is in one split only: test asks for names that were never trained on, and what can be learned is how
such names are made ("sol peruano" is "Peruvian Sol", "Europa orientale" "Eastern Europe"). Only into English:
out of it, full fine-tuning of the small base model on 224 examples got none of 99 names right.

Left out because they could only be guessed: languages of one word without a two-letter code, whose spelling
follows no rule (Fanti stays "fanti", Dyula turns into "diula"). Left out as no names to translate:
placeholders, acronyms, metals, units of account, and whatever has brackets, such as the years of a currency.
Also left out: "Northern America", so near to North America; pairs of which one contains the other letter for
letter, so that copying never scores, though dropping an accent may (Benín, Benin); and, since prompts name
them, English, the six languages and Italia. English "&" and "St." are spelled out. Only CLDR's own
translation counts: "West Africa" is wrong where CLDR says "Western Africa", and now and then it says another
thing (the Nicaraguan córdoba is "córdoba oro" in Spanish).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from importlib.util import find_spec

from harness.errors import PluginError
from harness.task import Example, Splits, Task, digest, mixed

LANGUAGES = {
    "de": "German",
    "es": "Spanish",
    "fr": "French",
    "it": "Italian",
    "nl": "Dutch",
    "pt": "Portuguese",
}
KINDS = ("place", "language", "currency")
NO_NAME = re.compile(
    r"[()\d.,;]|[A-Z]{3}| - |\b(Unknown|Pseudo|Multiple|No|Outlying|Unit|Mvdol|Northern America)\b"
)
IN_PROMPTS = ("English", *LANGUAGES.values())
APOSTROPHES = str.maketrans("’ʻ", "''")
MAX_CHARS = 40
ROWS = {"test": 400, "dev": 200, "train": 2300}
# In every ten concepts of a kind.
DEAL = ("test", "train", "train", "dev", "train", "train", "test", "train", "train", "train")
PER_CONCEPT = {"test": 4, "dev": 4, "train": 6}


class TermTranslation(Task):
    """A name in another language in, its English name by CLDR out."""

    name = "term_translation"
    version = 1
    family = "language"
    metric = "exact_match"
    description = "English names of places, languages and currencies, from six European languages."
    source = "babel 2.18.0 (CLDR display names)"
    license = "Unicode-3.0"
    stop = "\n"
    sizes = (ROWS["train"], ROWS["dev"], ROWS["test"])

    def load(self) -> Splits:
        """Pair up the names; well under a second.

        Raises:
            PluginError: `babel` is not installed.
        """
        if find_spec("babel") is None:
            raise PluginError("term_translation needs its data: pip install babel==2.18.0")
        examples = sorted(_pairs(), key=lambda e: digest(e.id))
        side: dict[str, str] = {}
        for kind in KINDS:
            concepts = {e.group for e in examples if e.data["kind"] == kind}
            for place, concept in enumerate(sorted(concepts, key=lambda c: digest(f"concept {c}"))):
                side.setdefault(concept, DEAL[place % len(DEAL)])
        pools = {
            split: _balanced([e for e in examples if side[e.group] == split], size, PER_CONCEPT[split])
            for split, size in ROWS.items()
        }
        return mixed(pools)

    def prompt(self, example: Example) -> str:
        """What kind of name it is, its language and the name."""
        data = example.data
        task = f"Translate the name of the {data['kind']} from {data['from']} to English."
        return f"{task}\n\n{data['from']}: {data['source']}\nEnglish:"

    def target(self, example: Example) -> str:
        """The English name, cased as CLDR does."""
        return example.data["target"]

    def score(self, example: Example, output: str) -> float:
        """1.0 where the first line that is not blank is the name, else 0.0.

        Case, quotation marks around it and a full stop after it do not count; accents and hyphens do.
        """
        line = next(filter(None, map(str.strip, output.splitlines())), "")
        return float(_plain(line) == _plain(example.data["target"]))

    def naive(self, example: Example) -> str:
        """The name as it stands, without its accents."""
        source = example.data["source"]
        return "".join(c for c in unicodedata.normalize("NFD", source) if not unicodedata.combining(c))


def _pairs() -> Iterator[Example]:
    """Every pair of names that is left."""
    from babel import Locale

    names: dict[str, dict[str, dict[str, str]]] = {}
    for code in ("en", *LANGUAGES):
        locale = Locale.parse(code)
        tables = (locale.territories, locale.languages, locale.currencies)
        names[code] = {kind: dict(table) for kind, table in zip(KINDS, tables, strict=True)}
    for kind in KINDS:
        for code, cldr in names["en"][kind].items():
            english = cldr.replace(" & ", " and ").replace("St. ", "Saint ")
            if not _is_wanted(kind, code, english):
                continue
            for key, language in LANGUAGES.items():
                other = " ".join(names[key][kind].get(code, "").split())
                if not other or NO_NAME.search(other) or max(len(english), len(other)) > MAX_CHARS:
                    continue
                if _plain(english) in _plain(other) or _plain(other) in _plain(f"{english}\n{language}"):
                    continue
                data = {"kind": kind, "from": language, "source": other, "target": english}
                yield Example(id=f"{kind} {code} {language}", group=english.casefold(), data=data)


def _is_wanted(kind: str, code: str, english: str) -> bool:
    if NO_NAME.search(english) or english in IN_PROMPTS:
        return False
    if kind == "language":
        return len(code) == 2 or " " in english
    # CLDR's codes in X are metals, funds and the like, but for the East Caribbean dollar.
    return kind == "place" or (" " in english and (code[0] != "X" or code == "XCD"))


def _balanced(examples: list[Example], size: int, per_concept: int) -> list[Example]:
    """Up to `size` of the examples, of kinds and languages in turn."""
    cells: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        cells["{kind} {from}".format_map(example.data)].append(example)
    queues = [iter(cells[cell]) for cell in sorted(cells)]
    taken: Counter[str] = Counter()
    kept: list[Example] = []
    while queues:
        for queue in tuple(queues):
            chosen = next((e for e in queue if taken[e.group] < per_concept), None)
            if len(kept) == size:
                return kept
            if chosen is None:
                queues.remove(queue)
            else:
                taken[chosen.group] += 1
                kept.append(chosen)
    return kept


def _plain(text: str) -> str:
    """Composed, in lower case, with straight apostrophes; without quotation marks and stop around it."""
    line = unicodedata.normalize("NFC", text).casefold().translate(APOSTROPHES)
    return " ".join(line.split()).strip("\"'“”«».` ")
