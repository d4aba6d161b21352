"""A question and its query, drawn together: the head, then the conditions."""

from __future__ import annotations

import random
from dataclasses import replace

from tasks.text_to_sql.query import AGGREGATES, COMPARISONS, Clause, Query
from tasks.text_to_sql.schemas import Column, Table, rows, schemas
from tasks.text_to_sql.wordings import AGGREGATE_WORDS, COMPARISON_WORDS, COUNT_WORDS, FILTERS, HEADS

Filter = tuple[tuple[Clause, ...], str, str]


def ask(head: str, kind: str, schema: str, draws: random.Random) -> tuple[str, Query] | None:
    """A question of one shape about one table of a schema, and its query; None where the table has none."""
    table = draws.choice(schemas()[schema])
    joined = head.startswith("join")
    if joined and not table.parent:
        return None
    found = _filter(kind, schema, table.parent if joined and table.parent else table, draws)
    if found is None:
        return None
    where, tie, words = found
    if joined and table.parent and where:
        words = f" {draws.choice(('of', 'belonging to'))} {table.parent.name}{words}"
    used = {clause.column for clause in where}
    shown = [column for column in (table.label, *table.texts, *table.numbers) if column.name not in used]
    numbers = [column for column in table.numbers if column.name not in used]
    texts = [column for column in table.texts if column.name not in used]
    plain = head.removeprefix("join ") if head in FILTERS else head
    drafted = _draft(
        plain,
        Query(table=table, select=(), joined=joined, where=where, tie=tie),
        shown,
        numbers,
        texts,
        draws,
    )
    if drafted is None:
        return None
    query, parts = drafted
    form = draws.choice(HEADS[plain])
    return form.format(t=table.name, s=table.singular, f=words, **parts), query


def _draft(
    head: str,
    query: Query,
    shown: list[Column],
    numbers: list[Column],
    texts: list[Column],
    draws: random.Random,
) -> tuple[Query, dict[str, str]] | None:
    """The query and the words of its head; None where the columns do not suffice."""
    if not shown:
        return None
    first = draws.choice(shown)
    parent = query.table.parent
    if head == "all":
        return replace(query, select=("*",)), {}
    if head == "list":
        return replace(query, select=(first.name,)), {"a": first.words}
    if head == "count":
        return replace(query, select=("COUNT(*)",)), {}
    if head == "pair" and len(shown) > 1:
        one, other = draws.sample(shown, 2)
        return replace(query, select=(one.name, other.name)), {"a": one.words, "b": other.words}
    if head == "join pair" and parent:
        other = draws.choice((parent.label, *parent.texts, *parent.numbers))
        parts = {"a": first.words, "b": other.words, "p": parent.singular}
        return replace(query, select=(first.name, other.name)), parts
    if head == "join group" and parent:
        other = draws.choice((parent.label, *parent.texts))
        parts = {"b": other.words, "p": parent.singular}
        return replace(query, select=(other.name, "COUNT(*)"), group=other.name), parts
    if head in {"distinct", "count distinct", "group", "having"} and texts:
        return _grouped(head, query, draws.choice(texts), draws)
    if head in {"group aggregate", "having aggregate"} and texts and numbers:
        return _aggregated(head, query, draws.choice(texts), draws.choice(numbers), draws)
    if not numbers:
        return None
    return _measured(
        head, query, query.table.label if draws.random() < 0.7 else first, draws.choice(numbers), draws
    )


def _grouped(head: str, query: Query, column: Column, draws: random.Random) -> tuple[Query, dict[str, str]]:
    """Heads over the values of one text column."""
    name = column.name
    if head == "distinct":
        return replace(query, select=(name,), distinct=True), {"c": column.words}
    if head == "count distinct":
        return replace(query, select=(f"COUNT(DISTINCT {name})",)), {"c": column.words}
    if head == "group":
        return replace(query, select=(name, "COUNT(*)"), group=name), {"c": column.words}
    sign, count = draws.choice(COMPARISONS), draws.randint(3, 7)
    query = replace(query, select=(name,), group=name, having=("COUNT(*)", sign, str(count)))
    return query, {"c": column.words, "w": COUNT_WORDS[sign], "k": str(count)}


def _aggregated(
    head: str, query: Query, column: Column, number: Column, draws: random.Random
) -> tuple[Query, dict[str, str]]:
    """Heads over a number within each value of a text column."""
    function = draws.choice(AGGREGATES)
    value = f"{function}({number.name})"
    parts = {"c": column.words, "n": number.words, "w": draws.choice(AGGREGATE_WORDS[function])}
    if head == "group aggregate":
        return replace(query, select=(column.name, value), group=column.name), parts
    sign = draws.choice((">", "<"))
    ends = (number.low, number.high) if function != "SUM" else (3 * number.low, 6 * number.high)
    limit = str(round(ends[0] + (ends[1] - ends[0]) * draws.randint(1, 9) / 10))
    parts["v"] = f"{draws.choice(COMPARISON_WORDS[sign])} {limit}"
    return replace(query, select=(column.name,), group=column.name, having=(value, sign, limit)), parts


def _measured(
    head: str, query: Query, shown: Column, number: Column, draws: random.Random
) -> tuple[Query, dict[str, str]] | None:
    """Heads that aggregate, sort by or compare one number."""
    parts, name = {"a": shown.words, "n": number.words}, number.name
    if head == "aggregate":
        function = draws.choice(AGGREGATES)
        parts["w"] = draws.choice(AGGREGATE_WORDS[function])
        return replace(query, select=(f"{function}({name})",)), parts
    if shown == number:
        return None
    query, down = replace(query, select=(shown.name,)), draws.random() < 0.5
    if head == "average":
        parts["w"] = "above" if down else "below"
        mean = f"(SELECT AVG({name}) FROM {query.table.name})"
        return replace(
            query, where=(Clause(column=name, operator=">" if down else "<", values=(mean,)),)
        ), parts
    if head == "sort":
        ways = (
            ("from highest to lowest", "in descending order")
            if down
            else ("from lowest to highest", "in ascending order")
        )
        return replace(query, order=name, descending=down), parts | {"w": draws.choice(ways)}
    limit = 1 if head == "first" else draws.randint(2, 5)
    parts |= {"w": draws.choice(AGGREGATE_WORDS["MAX" if down else "MIN"]), "k": str(limit)}
    return replace(query, order=name, descending=down, limit=limit), parts


def _filter(kind: str, schema: str, table: Table, draws: random.Random) -> Filter | None:
    """Conditions, how they are tied, and their words; None where the table has no such columns."""
    if kind == "none":
        return (), "AND", ""
    if kind in {"and", "or"}:
        columns = draws.sample((*table.texts, *table.numbers), 2)
        style = draws.randrange(3)
        sides = [
            _simple("equal" if column.values else "compare", schema, table, column, style, draws)
            for column in columns
        ]
        words = f" {kind}".join(words for _, words in sides)
        return tuple(clause for clause, _ in sides), kind.upper(), words
    if kind in {"compare", "between"}:
        choices = table.numbers
    else:
        choices = (table.label,) if kind in {"like", "named"} else table.texts
    if not choices:
        return None
    clause, words = _simple(kind, schema, table, draws.choice(choices), draws.randrange(3), draws)
    return (clause,), "AND", words


def _simple(
    kind: str, schema: str, table: Table, column: Column, style: int, draws: random.Random
) -> tuple[Clause, str]:
    """One condition with values that occur in the rows, and its words in one of three styles."""
    opening = (f" whose {column.words} is", f" with {column.words}", f" where the {column.words} is")[style]
    place = table.columns.index(column.name)
    found = [row[place] for row in rows(schema, 0)[table.name]]
    name = column.name
    if kind == "like":
        return _like(name, str(draws.choice(found)), f" whose {column.words}", draws)
    if kind == "between":
        low, high = (str(value) for value in sorted(draws.sample(sorted(set(found)), 2), key=float))
        words = f"{opening} between {low} and {high}"
        return Clause(column=name, operator="BETWEEN", values=(low, high)), words
    if kind == "in":
        pair = draws.sample(column.values, 2)
        clause = Clause(column=name, operator="IN", values=tuple(f"'{value}'" for value in pair))
        return clause, f"{opening} {' or '.join(pair)}"
    value = str(draws.choice(found))
    if kind == "compare":
        sign = draws.choice(COMPARISONS)
        word = draws.choice(COMPARISON_WORDS[sign])
        if name.endswith("_year"):
            word = {">": "after", "<": "before"}.get(sign, word)
        return Clause(column=name, operator=sign, values=(value,)), f"{opening} {word} {value}"
    unlike = " other than" if style == 1 else " not"
    clause = Clause(column=name, operator="<>" if kind == "not" else "=", values=(f"'{value}'",))
    return clause, f"{opening}{unlike if kind == 'not' else ''} {value}"


def _like(name: str, value: str, opening: str, draws: random.Random) -> tuple[Clause, str]:
    """A condition on the start, the end or the inside of a label."""
    pattern, words = draws.choice(
        (
            (f"{value[0]}%", f"starts with {value[0]}"),
            (f"{value[:2]}%", f"starts with {value[:2]}"),
            (f"%{value[-1]}", f"ends with {value[-1]}"),
            (f"%{value[-3:-1]}%", f"contains {value[-3:-1]}"),
        )
    )
    return Clause(column=name, operator="LIKE", values=(f"'{pattern}'",)), f"{opening} {words}"
