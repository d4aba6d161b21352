"""Numbers and names as the report writes them, and everything that comes from results made harmless."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from harness.stats import Interval
from harness.text import printable
from harness.text import rate as rate

ABSENT = "-"
PLAIN = re.compile(r"[A-Za-z0-9][\w.@+-]*", re.ASCII)
"""Names that a code span shows as they are."""
LONGEST = 300
"""Characters of one text kept in the report: reasons may hold whole tracebacks."""


def percent(value: float | None) -> str:
    """0.6154 as "61.5%"."""
    return ABSENT if value is None else f"{100 * value:.1f}%"


def interval(estimate: Interval | None) -> str:
    """Quality with its interval: "61.5% [54.6, 68.0]"."""
    if estimate is None:
        return ABSENT
    return f"{percent(estimate.value)} [{_unsigned(100 * estimate.low)}, {_unsigned(100 * estimate.high)}]"


def points(estimate: Interval | None, *, unit: str = " points") -> str:
    """A difference of two qualities: "-1.5 points [-4.0, 1.0]"."""
    if estimate is None:
        return ABSENT
    low, high = _unsigned(100 * estimate.low), _unsigned(100 * estimate.high)
    return f"{_signed(100 * estimate.value)}{unit} [{low}, {high}]"


def spread(deviation: float | None, seeds: int, tasks: int | None = None) -> str:
    """A standard deviation between seeds: "1.8 points, 3 seeds", or "1.8 points, 3 seeds on 2 tasks"."""
    if deviation is None:
        return ABSENT
    there = "" if tasks is None else f" on {tasks} task{'' if tasks == 1 else 's'}"
    return f"{100 * deviation:.1f} points, {seeds} seeds{there}"


def p_value(value: float) -> str:
    """A p value to two digits: "p < 0.001", "p = 0.0042", "p = 0.31", "p = 1"."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"


def gap(value: float | None) -> str:
    """A difference of two qualities without an interval: "-1.4 points"."""
    return ABSENT if value is None else f"{_signed(100 * value)} points"


def rank(estimate: Interval) -> str:
    """A mean rank: "1.7 [1.3, 2.3]"."""
    return f"{estimate.value:.1f} [{estimate.low:.1f}, {estimate.high:.1f}]"


def share(value: float | None) -> str:
    """A share of full fine-tuning's cost, to two digits where it is small: "24.1%", "0.37%", "0.0012%"."""
    if value is None:
        return ABSENT
    hundredths = 100 * value
    if hundredths == 0:
        return "0%"
    if hundredths >= 0.995:
        return f"{hundredths:.1f}%"
    decimals = 1 - int(f"{hundredths:.1e}".partition("e")[2])
    return f"{hundredths:.{decimals}f}%"


def seconds(value: float | None) -> str:
    """A duration: "3.4 s", "24 s", "3 min 12 s", "1.2 h"."""
    if value is None:
        return ABSENT
    if value < 9.95:
        return f"{value:.1f} s"
    if round(value) < 60:
        return f"{value:.0f} s"
    if round(value) < 3600:
        minutes, rest = divmod(round(value), 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{value / 3600:.1f} h"


def span(least: float | None, most: float | None) -> str:
    """A range of durations: "1 min 35 s to 1 min 50 s", or the one where both read the same."""
    ends = dict.fromkeys((seconds(least), seconds(most)))
    return ABSENT if least is None else " to ".join(ends)


def count(value: float | None) -> str:
    """A mean number of things: "1,234"."""
    return ABSENT if value is None else f"{value:,.0f}"


def numbers(values: Sequence[int]) -> str:
    """Whole numbers, separated by commas."""
    return ", ".join(map(str, values)) or ABSENT


def gigabytes(value: float | None) -> str:
    """A number of bytes in units of 10^9: "1.23 GB"."""
    return ABSENT if value is None else f"{value / 1e9:.2f} GB"


def size(value: float | None) -> str:
    """A number of bytes in the unit that fits: "47 kB", "9.8 MB", "269 MB", "1.2 GB"."""
    if value is None:
        return ABSENT
    unit, name = next(((u, n) for u, n in ((1e9, "GB"), (1e6, "MB")) if value >= 0.9995 * u), (1e3, "kB"))
    return f"{value / unit:.1f} {name}" if value < 9.95 * unit else f"{value / unit:.0f} {name}"


def nats(value: float | None, *, signed: bool = False) -> str:
    """A loss, or with its sign the difference of two: "2.314", "+0.021"."""
    if value is None:
        return ABSENT
    text = f"{value:+.3f}" if signed else f"{value:.3f}"
    return text if float(text) else "0.000"


def digits(value: float | None) -> str:
    """A number of any size to two digits: "2.1", "0.0031", "1.3e-05"."""
    return ABSENT if value is None else f"{value:.2g}"


def times(value: float | None) -> str:
    """A ratio of two speeds: "1.32 times"."""
    return ABSENT if value is None else f"{value:.2f} times"


def escaped(text: object) -> str:
    """Any text as Markdown that shows it literally, in a table cell too: no markup, HTML, link or mention."""
    clean = printable(text)
    clean = clean if len(clean) <= LONGEST else clean[: LONGEST - 3] + "..."
    clean = re.sub(r"([\\`*_{}\[\]#+!|~$@])", r"\\\1", clean)
    clean = clean.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"(?i)(:(?=//)|(?<=www)\.)", r"\\\1", clean)


def code(name: object) -> str:
    """A name in a code span, or escaped where a code span could not hold it."""
    text = str(name)
    return f"`{text}`" if PLAIN.fullmatch(text) and len(text) <= LONGEST else escaped(text)


def listed(parts: Sequence[str]) -> str:
    """Parts of a sentence joined by commas and an "and"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def names(names: Sequence[str]) -> str:
    """Names in code spans, as parts of a sentence."""
    return listed([code(name) for name in names])


def seeds(numbers: Iterable[int]) -> str:
    """Seeds as a part of a sentence: "seed 0", "seeds 1 and 2"."""
    known = sorted(set(numbers))
    return f"{'seed' if len(known) == 1 else 'seeds'} {listed([str(seed) for seed in known])}"


def rates(values: Iterable[float]) -> str:
    """Learning rates in order, each once: "3e-4, 1e-3"."""
    return ", ".join(rate(value) for value in sorted(set(values))) or ABSENT


def settings(values: Mapping[str, object]) -> str:
    """A mapping in one line, by key: "alpha=32, r=16"."""
    shown = {name: repr(value) if str(value) != printable(value) else value for name, value in values.items()}
    return escaped(", ".join(f"{name}={shown[name]}" for name in sorted(shown))) or ABSENT


def _signed(value: float) -> str:
    return f"{value:+.1f}" if round(value, 1) else "0.0"


def _unsigned(value: float) -> str:
    """One decimal, and never "-0.0"."""
    return f"{value:.1f}" if round(value, 1) else "0.0"
