"""Values: names, codes and numbers, as a message shows them and as a record holds them."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from tasks.json_extraction.templates import COSTS, DEVICES, ITEMS

if TYPE_CHECKING:
    from faker import Faker

# Not it_IT: its cities come out of a set, in another order in every process.
LOCALES = "en_US en_GB de_DE fr_FR es_ES da_DK pl_PL pt_BR nl_NL sv_SE"
WORDS = "two three four five six seven eight nine ten eleven twelve"
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday"


class Values:
    """Draws values: as a message shows them, and as a record holds them."""

    def __init__(self, fakers: list[Faker], seed: str, split: str) -> None:
        self.fakers, self.split = fakers, split
        self.random = random.Random(seed)
        for faker in fakers:
            faker.seed_instance(seed)
        self.makers: dict[str, Callable[[], tuple[str, object]]] = (
            dict.fromkeys(
                ("customer", "name", "user", "recipient", "guest", "passenger", "employee"), self._person
            )
            | dict.fromkeys(("city", "origin", "destination"), self._city)
            | dict.fromkeys(("quantity", "people", "parcels", "nights", "years"), self._number)
            | {"item": lambda: self._listed(ITEMS), "product": lambda: self._listed(DEVICES)}
            | {"category": lambda: self._listed(COSTS), "amount": lambda: self._money(20, 9000)}
            | {"price": lambda: self._money(40, 400), "salary": lambda: self._money(21_000, 98_000)}
            | {"days": lambda: self._number(60), "weight": self._weight, "time": self._time, "day": self._day}
            | {"company": self._company, "job": self._job, "email": self._email, "version": self._version}
            | {"phone": lambda: self._code("+%# %## ### ###", "0%## %### ###", "(%##) %##-####")}
            | {"order": lambda: self._code("?-%####", "%#####", "??%###")}
            | {"invoice": lambda: self._code("INV-%####", "%###/%#", "R%#####")}
            | {"error": lambda: self._code("E-%###", "X%####", "ERR_%##")}
            | {"tracking": lambda: self._code("??%#######", "%### %### %###", "1Z%#####")}
            | {"flight": lambda: self._code("??%##", "?? %###"), "seat": lambda: self._code("%?", "%#?")}
            | {"project": lambda: self._code("P-%##", "???-%", "%#-??")}
        )

    def draw(self, key: str) -> tuple[str, object]:
        """A value for one key: its form in the message and in the record."""
        return self.makers[key]()

    def _faker(self) -> Faker:
        return self.random.choice(self.fakers)

    def _person(self) -> tuple[str, object]:
        faker = self._faker()
        return _both(f"{faker.first_name()} {faker.last_name()}")

    def _city(self) -> tuple[str, object]:
        return _both(self._faker().city())

    def _company(self) -> tuple[str, object]:
        faker = self._faker()
        names = (faker.company() for _ in range(1000))  # a final dot could be the sentence's
        return _both(next(name for name in names if not name.endswith(".")))

    def _job(self) -> tuple[str, object]:
        jobs = (self.fakers[0].job() for _ in range(1000))
        return _both(next(job.lower() for job in jobs if re.fullmatch(r"[A-Za-z ]+", job)))

    def _email(self) -> tuple[str, object]:
        faker = self.fakers[self.random.randrange(2)]
        name = f"{faker.first_name()}{self.random.choice(('.', '_', ''))}{faker.last_name()}".lower()
        return _both(f"{name}@{faker.domain_name()}")

    def _code(self, *forms: str) -> tuple[str, object]:
        """A code of one of the forms: # is a digit, % one but zero, ? a letter."""
        return _both(self.fakers[0].bothify(self.random.choice(forms)).upper())

    def _version(self) -> tuple[str, object]:
        return _both(".".join(str(self.random.randint(1, 12)) for _ in range(self.random.randint(2, 3))))

    def _listed(self, values: Mapping[str, str]) -> tuple[str, object]:
        return _both(self.random.choice(values[self.split].split(", ")))

    def _day(self) -> tuple[str, object]:
        return _both(self.random.choice(DAYS.split()))

    def _number(self, most: int = 20) -> tuple[str, object]:
        """A count, up to twelve as a word two times in three."""
        words = WORDS.split()
        value = self.random.randint(2, most)
        in_words = value <= 12 and self.random.random() < 2 / 3
        return words[value - 2] if in_words else str(value), value

    def _weight(self) -> tuple[str, object]:
        tenths = self.random.randint(11, 400)
        return f"{tenths / 10:g}", _number(tenths * 10)

    def _money(self, low: int, high: int) -> tuple[str, object]:
        """An amount with a currency and commas; half of them have cents."""
        cents = 100 * self.random.randint(low, high)
        if self.random.random() < 0.5:
            cents += self.random.randint(1, 99)
        shown = f"{cents // 100:,}" + (
            f".{cents % 100:02}" if cents % 100 or self.random.random() < 0.2 else ""
        )
        form = self.random.choice(("${}", "€{}", "£{}", "{} euros", "{} USD", "EUR {}"))
        return form.format(shown), _number(cents)

    def _time(self) -> tuple[str, object]:
        hour = self.random.choice((11, *range(13, 23)))  # "12 pm" is read in two ways
        minute = self.random.choice((0, 0, 15, 30, 30, 45))
        short, half = (hour - 1) % 12 + 1, "am" if hour < 12 else "pm"
        forms = [f"{hour}:{minute:02}", f"{short}:{minute:02} {half}"]
        if not minute:
            forms = [f"{hour}:00", f"{short} {half}", f"{short} {half}"]
        return self.random.choice(forms), f"{hour:02}:{minute:02}"


def _both(value: str) -> tuple[str, object]:
    return value, value


def _number(cents: int) -> int | float:
    return cents // 100 if cents % 100 == 0 else cents / 100
