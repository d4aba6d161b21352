"""A date as people write it, in one of 35 languages and regions, to be given as an ISO 8601 date.

Source: the date patterns and the month and weekday names of CLDR, as shipped and applied by `babel` 2.18.0
(the package is BSD-3-Clause, its CLDR data Unicode-3.0). One row:

    language: Italian
    text:     domenica 27 ottobre 2019
    target:   2019-10-27

Every row is a day of its own between 1950 and 2050 (Gregorian calendar), so no date is in two splits. It is
written in full, with a short month, with or without the weekday, or, in one row of nine, in digits, which is
also how the short forms of Czech, Finnish and a few others come out. The order of digits depends on the
region (3/7/2019), so the prompt names language and region. Most month names resemble the English ones;
Polish, Czech, Finnish, Turkish and Albanian have several or all of their own.

A fifth of test and of dev is in languages that train never shows, each close to one that it does show
(Galician to Portuguese, Macedonian to Serbian and Russian): where they are read right, more was learned than
a table of month names. Test and dev hold out different languages, so that a method tuned on dev has not seen
those of test.

Left out: years of two digits, which do not say the century; digits that are an ISO date already (Swedish and
Afrikaans are written with the month name instead); and scripts that the model's tokenizer cuts into bytes or
that CLDR writes with invisible marks (Thai, Hindi, Hebrew, Arabic).
"""

from __future__ import annotations

import datetime
import re
from importlib.util import find_spec

from harness.errors import PluginError
from harness.task import Example, Splits, Task, digest, mixed

LOCALES = (
    "en_US", "en_GB", "es", "fr", "de", "it", "pt", "nl", "sv", "da", "ro", "ca", "hu", "et", "sr_Latn", "id",
    "sw", "fil", "ru", "el", "ja", "ko", "vi", "tr", "sq", "pl", "cs", "fi",
)  # fmt: skip
HELD_OUT = {"test": ("gl", "nb", "sl", "ms", "mk"), "dev": ("af", "sk"), "train": ()}
HELD_OUT_EVERY = 5  # one row in five, where a split has languages of its own
ROWS = {"test": 400, "dev": 200, "train": 2400}
# CLDR's names of formats and skeletons; those that spell the month weigh twice as much as digits do.
PATTERNS = ("full", "long", "yMMMd", "yMMMEd") * 2 + ("yMd",)
FIRST, LAST = datetime.date(1950, 1, 1), datetime.date(2050, 12, 31)
ISO_DATE = re.compile(r"(?<![\d-])\d{4}-\d{2}-\d{2}(?![\d-])")


class DateNormalisation(Task):
    """The text of a date in, YYYY-MM-DD out."""

    name = "date_normalisation"
    version = 1
    family = "structured"
    metric = "exact_match"
    description = "A date written in one of 35 languages and regions, as an ISO 8601 date."
    source = "babel 2.18.0 (CLDR date patterns and names)"
    license = "Unicode-3.0"
    stop = "\n"
    sizes = (ROWS["train"], ROWS["dev"], ROWS["test"])

    def load(self) -> Splits:
        """Write out 3,000 dates; well under a second.

        Raises:
            PluginError: `babel` is not installed.
        """
        if find_spec("babel") is None:
            raise PluginError("date_normalisation needs its data: pip install babel==2.18.0")
        days = map(datetime.date.fromordinal, range(FIRST.toordinal(), LAST.toordinal() + 1))
        order = iter(sorted(days, key=lambda day: digest(day.isoformat())))
        pools = {
            split: tuple(_example(next(order), _locale(split, row)) for row in range(size))
            for split, size in ROWS.items()
        }
        return mixed(pools)

    def prompt(self, example: Example) -> str:
        """The form wanted, the language, which settles the order of digits, and the text."""
        language, text = example.data["language"], example.data["text"]
        return f"Convert the date to the form YYYY-MM-DD.\n\n{language}: {text}\nYYYY-MM-DD:"

    def target(self, example: Example) -> str:
        """The date as YYYY-MM-DD."""
        return example.data["iso"]

    def score(self, example: Example, output: str) -> float:
        """1.0 where the first ISO date on the first line that is not blank is the right one, else 0.0."""
        return float(_date(output) == example.data["iso"])

    def readable(self, example: Example, output: str) -> bool:
        """Whether that line has an ISO date."""
        return _date(output) is not None

    def naive(self, example: Example) -> str:
        """The numbers as they stand, year first or last; January where there are only two."""
        numbers = re.findall(r"\d+", example.data["text"])
        year = next(number for number in numbers if len(number) == 4)
        rest = [number for number in numbers if number != year]
        if year == numbers[0]:
            rest.reverse()
        day, month = (rest[0], rest[1] if len(rest) > 1 else "1")
        return f"{year}-{int(month):02}-{int(day):02}"


def _date(output: str) -> str | None:
    """The first ISO date on the first line that is not blank."""
    line = next(filter(None, map(str.strip, output.splitlines())), "")
    found = ISO_DATE.search(line)
    return found[0] if found else None


def _locale(split: str, row: int) -> str:
    """Every locale equally often, those that only this split has in one row of five."""
    own, shared = HELD_OUT[split], LOCALES
    if own and row % HELD_OUT_EVERY == 0:
        return own[row // HELD_OUT_EVERY % len(own)]
    return shared[row % len(shared)]


def _example(day: datetime.date, name: str) -> Example:
    """`day` as a pattern of the locale writes it; its long form where the digits would be ISO 8601."""
    from babel import Locale
    from babel.dates import format_date

    locale = Locale.parse(name)
    iso = day.isoformat()
    choice = PATTERNS[int(digest(f"pattern {iso}"), 16) % len(PATTERNS)]
    for key in (choice, "long"):
        patterns = locale.date_formats if key in locale.date_formats else locale.datetime_skeletons
        # Some locales part the words with no-break spaces.
        text = " ".join(format_date(day, patterns[key].pattern, locale=locale).split())
        if iso not in text:
            break
    data = {"text": text, "language": locale.english_name or name, "iso": iso}
    return Example(id=f"{iso}-{name}", group=iso, data=data)
