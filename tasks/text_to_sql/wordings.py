"""What can be asked, under which conditions, and the wordings of both."""

from __future__ import annotations

# What is asked. {t} and {s} are the table and one of its rows, {f} a filter, {a} and {b} columns to show,
# {c} a column to group by, {n} a number, {w} what is done with it.
HEADS = {
    "all": (
        "Show all columns of the {t}{f}.",
        "Show everything about the {t}{f}.",
        "Get the full rows of all {t}{f}.",
    ),
    "list": (
        "List the {a} of the {t}{f}.",
        "What is the {a} of each {s}{f}?",
        "Show the {a} for all {t}{f}.",
    ),
    "pair": (
        "List {a} and {b} of the {t}{f}.",
        "Show the {a} and the {b} of each {s}{f}.",
        "What are the {a} and {b} of the {t}{f}?",
    ),
    "count": ("How many {t} are there{f}?", "Count the {t}{f}.", "What is the number of {t}{f}?"),
    "aggregate": (
        "What is the {w} {n} of the {t}{f}?",
        "Find the {w} {n} for the {t}{f}.",
        "Compute the {w} {n} of all {t}{f}.",
    ),
    "distinct": (
        "List the different {c} values of the {t}{f}.",
        "Which distinct {c} values occur among the {t}{f}?",
        "Show every {c} just once for the {t}{f}.",
    ),
    "count distinct": (
        "How many different {c} values are there among the {t}{f}?",
        "Count the distinct {c} values of the {t}{f}.",
    ),
    "first": (
        "Which {s}{f} has the {w} {n}? Show its {a}.",
        "Among the {t}{f}, show the {a} of the one with the {w} {n}.",
    ),
    "top": (
        "Among the {t}{f}, show the {a} of the {k} with the {w} {n}, {w} first.",
        "Take the {t}{f} and list the {a} of the {k} with the {w} {n}, {w} first.",
    ),
    "sort": (
        "List the {a} of the {t}{f}, sorted by {n} {w}.",
        "Sort the {t}{f} by {n} {w} and show the {a}.",
    ),
    "group": (
        "For each {c}, show the {c} and the number of {t}{f}.",
        "How many {t}{f} are there per {c}? Show the {c} and the count.",
        "Show every {c} with its number of {t}{f}.",
    ),
    "group aggregate": (
        "For each {c}, show the {c} and the {w} {n} of the {t}{f}.",
        "Show every {c} with the {w} {n} of its {t}{f}.",
    ),
    "having": ("Which {c} values have {w} {k} {t}?", "Show each {c} that has {w} {k} {t}."),
    "having aggregate": (
        "Show each {c} where the {w} {n} of the {t} is {v}.",
        "For which {c} values is the {w} {n} of the {t} {v}?",
    ),
    "average": (
        "Show the {a} of the {t} whose {n} is {w} the average.",
        "List the {a} of the {t} with {n} {w} the average {n}.",
    ),
    "join pair": (
        "Show the {a} of each {s} and the {b} of its {p}.",
        "List every {s} {a} together with the {p} {b}.",
    ),
    "join group": (
        "Show every {p} {b} with its number of {t}.",
        "Show each {p} {b} and how many {t} it has.",
    ),
}
ROW_FILTERS = ("none", "equal", "not", "compare", "between", "like", "in", "and")
FILTERS = {
    "all": ("equal", "not", "compare", "between", "like", "in", "and", "or", "named"),
    "list": (*ROW_FILTERS, "or", "named"),
    "pair": (*ROW_FILTERS, "or", "named"),
    "count": (*ROW_FILTERS, "or"),
    "aggregate": ROW_FILTERS,
    "distinct": ("none", "compare", "between", "like"),
    "count distinct": ("none", "compare", "between"),
    "first": ("none", "equal", "not", "compare"),
    "top": ("none", "equal", "not", "compare"),
    "sort": ("none", "equal", "not", "compare", "in"),
    "group": ("none", "compare", "between"),
    "group aggregate": ("none", "compare", "between"),
    "join list": ("equal", "compare", "named", "in"),
    "join count": ("equal", "compare", "named", "in"),
    "join aggregate": ("equal", "compare", "named", "in"),
}
SHAPES = {
    head: FILTERS.get(head, ("none",)) for head in (*HEADS, *(head for head in FILTERS if head not in HEADS))
}
HELD_OUT = (  # of train: these parts meet in dev and test only
    ("all", "and"), ("list", "or"), ("pair", "in"), ("count", "between"), ("aggregate", "not"),
    ("distinct", "between"), ("count distinct", "compare"), ("top", "compare"), ("sort", "equal"),
    ("group", "compare"), ("group aggregate", "between"), ("join count", "compare"), ("join aggregate", "in"),
)  # fmt: skip
AGGREGATE_WORDS = {
    "AVG": ("average", "mean"),
    "SUM": ("total",),
    "MIN": ("lowest", "smallest", "minimum"),
    "MAX": ("highest", "largest", "maximum"),
}
COMPARISON_WORDS = {
    ">": ("above", "more than", "greater than"),
    ">=": ("at least", "no less than"),
    "<": ("below", "less than", "under"),
    "<=": ("at most", "no more than"),
}
COUNT_WORDS = {">": "more than", ">=": "at least", "<": "fewer than", "<=": "at most"}
