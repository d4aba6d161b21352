"""A query in parts, its SQL, and the mistakes that the database rows must tell from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from tasks.text_to_sql.schemas import Table

AGGREGATES = ("AVG", "SUM", "MIN", "MAX")
COMPARISONS = (">", ">=", "<", "<=")


@dataclass(frozen=True, kw_only=True, slots=True)
class Clause:
    """One condition: a column, an operator and its values as they stand in SQL."""

    column: str
    operator: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        if self.operator == "BETWEEN":
            return f"{self.column} BETWEEN {self.values[0]} AND {self.values[1]}"
        if self.operator == "IN":
            return f"{self.column} IN ({', '.join(self.values)})"
        return f"{self.column} {self.operator} {self.values[0]}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """A SELECT statement.

    Attributes:
        table: The table that the rows come from; joined with its parent if `joined`.
        select: Expressions to return.
        where: Conditions, all tied by `tie`.
        having: Aggregate, comparison and number.
    """

    table: Table
    select: tuple[str, ...]
    joined: bool = False
    distinct: bool = False
    where: tuple[Clause, ...] = ()
    tie: str = "AND"
    group: str = ""
    having: tuple[str, str, str] | None = None
    order: str = ""
    descending: bool = False
    limit: int = 0
    on: str = ""

    def __str__(self) -> str:
        words = ["SELECT", *(["DISTINCT"] if self.distinct else []), ", ".join(self.select)]
        words += ["FROM", self.table.name]
        if self.joined and self.table.parent:
            parent = self.table.parent.name
            words += ["JOIN", parent, "ON", self.on or f"{self.table.key} = {parent}.id"]
        if self.where:
            words += ["WHERE", f" {self.tie} ".join(map(str, self.where))]
        if self.group:
            words += ["GROUP BY", self.group]
        if self.having:
            words += ["HAVING", *self.having]
        if self.order:
            words += ["ORDER BY", self.order, *(["DESC"] if self.descending else [])]
        if self.limit:
            words += ["LIMIT", str(self.limit)]
        return " ".join(words)


def mutants(query: Query) -> Iterator[Query]:
    """Queries that answer another question; none may return what `query` does on every filling."""
    for place, expression in enumerate(query.select):
        for other in _expressions(query, expression):
            if other not in query.select:
                yield replace(query, select=(*query.select[:place], other, *query.select[place + 1 :]))
    if query.distinct:
        yield replace(query, distinct=False)
    for place, clause in enumerate(query.where):
        before, after = query.where[:place], query.where[place + 1 :]
        yield replace(query, where=before + after)
        for changed in _clauses(query, clause):
            yield replace(query, where=(*before, changed, *after))
    if len(query.where) > 1:
        yield replace(query, tie="OR" if query.tie == "AND" else "AND")
    if query.group and len(query.select) > 1:
        for column in query.table.texts:
            if column.name != query.group:
                yield replace(query, group=column.name)
    if query.having:
        function, operator, value = query.having
        yield replace(query, having=None)
        yield from (replace(query, having=(function, o, value)) for o in COMPARISONS if o != operator)
    if query.order:
        yield replace(query, descending=not query.descending)
        yield replace(query, order="")
        yield from (replace(query, order=c.name) for c in query.table.numbers if c.name != query.order)
    if query.limit:
        yield from (replace(query, limit=limit) for limit in (query.limit + 1, query.limit - 1))
    if query.joined and query.table.parent:
        yield replace(query, on=f"{query.table.name}.id = {query.table.parent.name}.id")


def twins(query: Query) -> Iterator[Query]:
    """Queries that differ only in how ties are broken; all must return what `query` does."""
    if query.order:
        last = f"{query.order}{' DESC' if query.descending else ''}, {query.table.name}.id"
        yield replace(query, order=last, descending=False)
        yield replace(query, order=last, descending=True)


def _expressions(query: Query, expression: str) -> Iterator[str]:
    """What might stand by mistake in place of one expression."""
    numbers = [column.name for column in query.table.numbers]
    names = [query.table.label.name, *(column.name for column in query.table.texts), *numbers]
    function, bracket, inner = expression.partition("(")
    inner = inner.rstrip(")")
    if expression == "*":
        yield query.table.label.name
    elif expression == "COUNT(*)":
        yield from (f"COUNT(DISTINCT {column.name})" for column in query.table.texts if not query.group)
        yield f"SUM({numbers[0]})"
    elif function == "COUNT":
        yield from ("COUNT(*)", inner)
    elif bracket:
        yield from (f"{other}({inner})" for other in (*AGGREGATES, "COUNT") if other != function)
        yield from (f"{function}({other})" for other in numbers if other != inner)
    else:
        yield from (name for name in (*names, "*") if name != expression and not query.group)


def _clauses(query: Query, clause: Clause) -> Iterator[Clause]:
    """What might stand by mistake in place of one condition."""
    column, operator, values = clause.column, clause.operator, clause.values
    if values[0].startswith("(SELECT"):
        yield replace(clause, operator="<" if operator == ">" else ">")
    elif operator in COMPARISONS:
        others = [c.name for c in query.table.numbers if c.name != column]
        yield from (replace(clause, operator=other) for other in (*COMPARISONS, "=") if other != operator)
        yield from (replace(clause, column=other) for other in others)
    elif operator == "BETWEEN":
        yield Clause(column=column, operator=">=", values=values[:1])
        yield Clause(column=column, operator="<=", values=values[1:])
        yield replace(clause, operator=">", values=(f"{values[0]} AND {column} < {values[1]}",))
    elif operator == "IN":
        yield from (Clause(column=column, operator="=", values=(value,)) for value in values)
    elif operator == "LIKE":
        part = values[0].strip("'%")
        shapes = (f"'{part}'", f"'{part}%'", f"'%{part}'", f"'%{part}%'")
        yield from (replace(clause, values=(shape,)) for shape in shapes if shape != values[0])
    else:
        yield replace(clause, operator="<>" if operator == "=" else "=")
