"""In which of twenty languages is this phrase? Most of them stand beside a close relative.

Source: the CLDR data in `Babel` 2.18.0 (data: Unicode-3.0): translations, by people, of names of territories,
languages, units of measure, months, weekdays and spans of time, and the patterns that join them. One row:

    Phrase:   4 gün önce veya 25 saat sonra
    Language: Turkish

A phrase is put together from the patterns of its language and is of one of four kinds, in the same
proportions in every language: three names ("Mari, Lettisch und Komorisch"), two measures, two spans of time,
a date with its weekday. A concept (a territory, a unit, a weekday ...) is in one split only, so that what is
asked is the language and not a word. Words may come back: "kilometres" is a unit, and so is "kilometres per
hour".

Left out: concepts that one of the languages lacks, or that most of them write alike (names such as "Malta");
variants of languages ("Swiss High German"), currencies and time zones, whose words are those of other
concepts; names of the twenty languages themselves, which might be taken for the answer. A phrase that another
of the languages writes with the same letters, such as "5 gram eller 2 liter" (Danish, Norwegian and Swedish),
has no one answer and is dropped: 286 of the 3,286 drawn. Norwegian is Bokmål, Portuguese is that of Brazil.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import TYPE_CHECKING, Any

from harness.errors import PluginError
from harness.task import Example, Splits, Task, digest

if TYPE_CHECKING:
    from babel import Locale

LOCALES = {
    "Afrikaans": "af", "Azerbaijani": "az", "Catalan": "ca", "Croatian": "hr", "Czech": "cs", "Danish": "da",
    "Dutch": "nl", "Estonian": "et", "Finnish": "fi", "German": "de", "Indonesian": "id", "Italian": "it",
    "Malay": "ms", "Norwegian": "nb", "Portuguese": "pt", "Slovak": "sk", "Slovenian": "sl", "Spanish": "es",
    "Swedish": "sv", "Turkish": "tr",
}  # fmt: skip
ROWS = {  # of each kind, in each language
    "test": {"names": 8, "measures": 5, "spans": 4, "date": 3},
    "dev": {"names": 4, "measures": 3, "spans": 2, "date": 1},
    "train": {"names": 50, "measures": 32, "spans": 28, "date": 10},
}
SHARES = {"test": 0.25, "dev": 0.2}  # of the concepts; the rest is train
SPANS = ("year", "quarter", "month", "week", "day", "hour", "minute", "second")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
NO_NAMES = ("-mul", "-und", "-zxx", "-XA", "-XB", "-ZZ")  # codes for none, several or a pretended one
MIN_WORDINGS = 8  # different names that a concept has among the languages
NUMBERS = (2, 3, 4, 5, 6, 7, 9, 10, 12, 15, 20, 25, 30, 40, 50, 60)
# Spanish says "e" for "y" and "u" for "o" before these sounds, which the patterns do not know.
NOT_SPANISH = re.compile(r" (?:y h?i|o h?o)", re.IGNORECASE)
DRAWS = 2000  # phrases drawn for one kind in one language at most
FIRST_DAY, LAST_DAY = date(1950, 1, 1).toordinal(), date(2050, 12, 31).toordinal()


class LanguageId(Task):
    """A phrase in, the English name of its language out."""

    name = "language_id"
    version = 1
    family = "language"
    metric = "accuracy"
    labels = tuple(LOCALES)
    description = "Language of a short phrase, among twenty with close relatives such as Czech and Slovak."
    source = "Babel 2.18.0, CLDR names and patterns"
    license = "Unicode-3.0"
    sizes = (2400, 200, 400)

    def load(self) -> Splits:
        """Put all phrases together; about a second.

        Raises:
            PluginError: Babel is not installed.
        """
        try:
            from babel import Locale
        except ImportError as error:
            raise PluginError("language_id needs its data: pip install Babel==2.18.0") from error
        languages = {label: _Language(Locale.parse(code)) for label, code in LOCALES.items()}
        dealt = _deal(list(languages.values()))
        pools: dict[str, list[list[Example]]] = {split: [] for split in ROWS}
        for split, kinds in ROWS.items():
            for label in languages:
                of_label: list[Example] = []
                for kind, rows in kinds.items():
                    rng = random.Random(f"{split} {label} {kind}")
                    phrases = _phrases(kind, dealt[split], rng)
                    of_label += islice(_draw(label, phrases, languages), rows)
                pools[split].append(of_label)
        return Splits(**{split: _mixed(by_label) for split, by_label in pools.items()})

    def prompt(self, example: Example) -> str:
        """The phrase alone; twenty languages would be longer than it, so they are not listed."""
        return f"Which language is this phrase in?\n\nPhrase: {example.data['text']}\nLanguage:"

    def target(self, example: Example) -> str:
        """The label."""
        return example.data["label"]

    def score(self, example: Example, output: str) -> float:
        """1.0 for the exact label, else 0.0."""
        return float(output.strip() == example.data["label"])


@dataclass(frozen=True, kw_only=True, slots=True)
class _Phrase:
    """A phrase before it is put into words.

    `numbers` go with the concepts one by one, and so do `tenses` ("past" or "future"); a date has its
    ordinal as the only number.
    """

    kind: str
    concepts: tuple[str, ...]
    numbers: tuple[int, ...] = ()
    tenses: tuple[str, ...] = ()
    join: str = "standard"


class _Language:
    """Puts phrases into the words of one language. Tables are copied, since Babel's own copy on access."""

    def __init__(self, locale: Locale) -> None:
        tables: Mapping[str, Any] = locale._data
        self.locale = locale
        self.names = {f"territory-{key}": name for key, name in locale.territories.items()}
        self.names |= {f"language-{key}": name for key, name in locale.languages.items()}
        self.units = {
            unit: dict(widths["long"]) for unit, widths in tables["unit_patterns"].items() if "long" in widths
        }
        self.spans = {
            field: {tense: dict(tables["date_fields"][field][tense]) for tense in ("past", "future")}
            for field in SPANS + WEEKDAYS
        }

    def wording(self, concept: str) -> str | None:
        """What a name or a unit is called, None where this language has no word for it."""
        return self.names.get(concept) or self.units.get(concept, {}).get("other")

    def text(self, phrase: _Phrase) -> str:
        """The phrase in words."""
        from babel.dates import format_date
        from babel.lists import format_list

        if phrase.kind == "date":
            return format_date(date.fromordinal(phrase.numbers[0]), "full", self.locale)
        if phrase.kind == "names":
            parts = [self.names[concept] for concept in phrase.concepts]
        elif phrase.kind == "measures":
            parts = [
                self._count(self.units[c], n) for c, n in zip(phrase.concepts, phrase.numbers, strict=True)
            ]
        else:
            rows = zip(phrase.concepts, phrase.tenses, phrase.numbers, strict=True)
            parts = [self._count(self.spans[concept][tense], n) for concept, tense, n in rows]
        return format_list(parts, "or" if phrase.join == "or" else "standard", self.locale)

    def _count(self, patterns: Mapping[str, str], number: int) -> str:
        return patterns.get(self.locale.plural_form(number), patterns["other"]).format(number)


def _deal(languages: Sequence[_Language]) -> dict[str, dict[str, list[str]]]:
    """The concepts of each kind in each split."""
    unwanted = NO_NAMES + tuple(f"language-{code}" for code in (*LOCALES.values(), "nn", "no"))
    names = [c for c in languages[0].names if not c.endswith(unwanted) and "_" not in c]
    units = [c for c in languages[0].units if c.removeprefix("duration-") not in SPANS]
    sorts = {
        "territories": [c for c in names if c.startswith("territory") and _is_distinctive(c, languages)],
        "languages": [c for c in names if c.startswith("language") and _is_distinctive(c, languages)],
        "units": [c for c in units if _is_distinctive(c, languages)],
        "spans": list(SPANS),
        "weekdays": list(WEEKDAYS),
        "months": [f"month-{month}" for month in range(1, 13)],
    }
    sides: dict[str, dict[str, list[str]]] = {split: {} for split in ROWS}
    for sort, concepts in sorts.items():
        order = sorted(concepts, key=digest)
        test, dev = (round(SHARES[split] * len(order)) for split in ("test", "dev"))
        sides["test"][sort] = order[:test]
        sides["dev"][sort] = order[test : test + dev]
        sides["train"][sort] = order[test + dev :]
    return sides


def _is_distinctive(concept: str, languages: Sequence[_Language]) -> bool:
    wordings = {(language.wording(concept) or "").casefold() for language in languages}
    return "" not in wordings and "(" not in "".join(wordings) and len(wordings) >= MIN_WORDINGS


def _phrases(kind: str, concepts: Mapping[str, list[str]], rng: random.Random) -> Iterator[_Phrase]:
    """Phrases of one kind without end; `concepts` are those of the split."""
    while True:
        join = rng.choice(("standard", "or"))
        numbers = (rng.choice(NUMBERS), rng.choice(NUMBERS))
        if kind == "names":
            sort = rng.choice(("territories", "languages"))
            yield _Phrase(kind=kind, concepts=tuple(rng.sample(concepts[sort], 3)), join=join)
        elif kind == "measures":
            drawn = tuple(rng.sample(concepts["units"], 2))
            yield _Phrase(kind=kind, concepts=drawn, numbers=numbers, join=join)
        elif kind == "spans":
            drawn = tuple(rng.sample(concepts["spans"] + concepts["weekdays"], 2))
            tenses = (rng.choice(("past", "future")), rng.choice(("past", "future")))
            yield _Phrase(kind=kind, concepts=drawn, numbers=numbers, tenses=tenses, join=join)
        else:
            day = date.fromordinal(rng.randrange(FIRST_DAY, LAST_DAY + 1))
            drawn = (WEEKDAYS[day.weekday()], f"month-{day.month}")
            if drawn[0] in concepts["weekdays"] and drawn[1] in concepts["months"]:
                yield _Phrase(kind=kind, concepts=drawn, numbers=(day.toordinal(),))


def _draw(label: str, phrases: Iterator[_Phrase], languages: Mapping[str, _Language]) -> Iterator[Example]:
    """Phrases in the words of `label`, each of different letters that no other language gives it."""
    seen: set[str] = set()
    for phrase in islice(phrases, DRAWS):
        text = languages[label].text(phrase)
        letters = _letters(text)
        if letters in seen or (label == "Spanish" and NOT_SPANISH.search(text)):
            continue
        seen.add(letters)
        if any(_letters(other.text(phrase)) == letters for name, other in languages.items() if name != label):
            continue
        group = " ".join(sorted(phrase.concepts))
        data = {"text": text, "label": label, "kind": phrase.kind}
        yield Example(id=f"{label} {digest(text)[:12]}", group=group, data=data)


def _mixed(by_label: Sequence[Sequence[Example]]) -> tuple[Example, ...]:
    """All examples in rounds: each round holds every language once, in an order of its own."""
    columns = [sorted(of_label, key=lambda e: digest(e.id)) for of_label in by_label]
    rounds = zip(*columns, strict=True)
    return tuple(example for row in rounds for example in sorted(row, key=lambda e: digest(e.id)))


def _letters(text: str) -> str:
    return "".join(re.findall(r"[^\W\d_]+", text.casefold()))
