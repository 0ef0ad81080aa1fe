"""A question as SQL over raw invoice lines: the one definition of a record, for training and for scoring."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Final, cast

import sqlglot
from sqlglot import exp

from retail_clusters import schema
from retail_clusters.question import Feature, Question, Unit

#: What SQL may name beside the eight columns, and the columns that each is made of.
COST, DAY, AS_OF = "cost", "day", "as_of"
DERIVED: Final[Mapping[str, tuple[str, ...]]] = {
    COST: (schema.UNIT_PRICE, schema.QUANTITY),
    DAY: (schema.INVOICE_DATE,),
    AS_OF: (schema.INVOICE_DATE,),
}

#: Columns that are made on the way. The names of features begin with a letter.
LINE: Final = "_line"
LEFT_OUT: Final = "_left_out"

#: How raw values are typed, whoever reads them: pandas has 6 as a long or, where another is missing, as a
#: double, and the date as a text.
_TYPED: Final = {
    schema.QUANTITY: "try_cast(Quantity AS INT)",
    schema.UNIT_PRICE: "nanvl(try_cast(UnitPrice AS DOUBLE), CAST(NULL AS DOUBLE))",
    schema.INVOICE_DATE: "CAST(InvoiceDate AS TIMESTAMP)",
}
#: Exact: a price to a millionth, as every good line has one. Sums of ten billion lines fit.
_COST: Final = "try_cast(UnitPrice AS DECIMAL(17,6)) * Quantity"


def used_columns(question: Question) -> tuple[str, ...]:
    """Name the columns of raw lines that a question needs, in their order."""
    texts = [*question.clean.values(), *(feature.sql for feature in question.features.values())]
    named = {name for text in texts for name in columns_in(text)}
    if question.unit:
        named |= {name.lower() for name in question.unit.by}
        named |= {AS_OF} if question.unit.days else set()
    made_of = {column for name in named for column in DERIVED.get(name, ())}
    return tuple(name for name in schema.COLUMNS if name.lower() in named or name in made_of)


def columns_in(sql: str) -> set[str]:
    """Name the columns of an expression, in small letters."""
    return {column.name.lower() for column in sqlglot.parse_one(sql, dialect="spark").find_all(exp.Column)}


def records(
    question: Question,
    *,
    as_of: date | None = None,
    passed: Mapping[str, str] | None = None,
    described: bool = False,
) -> str:
    """Return the query that makes records of lines: what `_line` holds, `_left_out`, and each feature.

    Of lines, `_line` is the line as it came, and every line has a record. Of a unit, it is the key, and
    `as_of` ends the window, by default with the day of the last line. `_left_out` names the rule or feature that
    a record is left out for; null for one that counts.

    Args:
        question: what is asked.
        as_of: the end of the window, exclusive.
        passed: more columns of a record, name to SQL; of a unit they are aggregates. They replace `_line`.
        described: whether what describes a record is a column, too.
    """
    values = {name: _value(feature) for name, feature in question.features.items()}
    if described:
        values |= {name: f"({each.sql})" for name, each in question.describe.items()}
    lines = _lines(question, as_of=as_of, every=described)
    if question.unit is None:
        lines = f"SELECT *, {_rule(question)} AS _rule FROM ({lines})"
        columns = dict(passed or {LINE: LINE}) | {"_rule": "_rule"}
        columns |= {name: f"CASE WHEN _rule IS NULL THEN {value} END" for name, value in values.items()}
        made = f"{_select(columns)} FROM ({lines})"
    else:
        keys = ", ".join(question.unit.by)
        columns = dict(passed or {LINE: f"struct({keys})"}) | {"_rule": "CAST(NULL AS STRING)"} | values
        window = f", {AS_OF}" if question.unit.days else ""
        made = f"{_select(columns)} FROM ({lines}) WHERE {_counts(question)} GROUP BY {keys}{window}"
    filled = "".join(f", {_filled(feature, name)} AS {name}" for name, feature in question.features.items())
    finite = f"SELECT * EXCEPT ({', '.join(question.features)}){filled} FROM ({made})"
    missing = " ".join(f"WHEN {name} IS NULL THEN '{name}'" for name in question.features)
    left_out = f"CASE WHEN _rule IS NOT NULL THEN _rule {missing} END AS {LEFT_OUT}"
    return f"SELECT * EXCEPT (_rule), {left_out} FROM ({finite})"


def left_out_lines(question: Question, *, as_of: date | None = None) -> str:
    """Return the query that counts the lines of the window that each rule leaves out: `rule`, `lines`."""
    ruled = (
        f"SELECT {_rule(question)} AS rule FROM ({_lines(question, as_of=as_of)}) WHERE {_window(question)}"
    )
    return f"SELECT rule, count(*) AS lines FROM ({ruled}) GROUP BY rule"


def shared_with_training(question: Question, *, train_until: date, end: date, held_out: str) -> str:
    """Return the query that counts the keys of both windows, and the lines that lie in both: `keys`, `lines`.

    Keys that are held out do not train.
    """
    unit = cast(Unit, question.unit)
    keys = ", ".join(unit.by)
    train, test = (
        f"{DAY} >= date_sub(DATE'{last}', {unit.days}) AND {DAY} < DATE'{last}'"
        for last in (train_until, end)
    )
    of_key = (
        f"SELECT bool_or({train}) AND bool_or({test}) AS both, count_if({train} AND {test}) AS lines "
        f"FROM ({_lines(question, as_of=end)}) WHERE {_rule(question)} IS NULL AND NOT ({held_out}) GROUP BY {keys}"
    )
    return f"SELECT count_if(both) AS keys, coalesce(sum(lines), 0) AS lines FROM ({of_key})"


def distances(centres: Sequence[Sequence[float]], *, to: str) -> str:
    """Return the array of the Euclidean distances from each of k x d centres to an array of d doubles."""
    listed = ", ".join(f"array({', '.join(f'{number!r}D' for number in centre)})" for centre in centres)
    squared = f"aggregate(zip_with(c, {to}, (a, b) -> (a - b) * (a - b)), 0D, (s, x) -> s + x)"
    return f"transform(array({listed}), c -> sqrt({squared}))"


def _counts(question: Question) -> str:
    """Return the condition of the lines that a unit is made of."""
    return f"{_window(question)} AND {_rule(question)} IS NULL"


def _window(question: Question) -> str:
    days = question.unit.days if question.unit else None
    return f"{DAY} >= date_sub({AS_OF}, {days}) AND {DAY} < {AS_OF}" if days else "true"


def _lines(question: Question, *, as_of: date | None, every: bool = False) -> str:
    """Return the query of typed lines: the columns that are used, or every one, and what is derived of them."""
    used = schema.COLUMNS if every else used_columns(question)
    typed = {name: _TYPED.get(name, f"CAST({name} AS STRING)") for name in used}
    whole = {LINE: "struct(*)"} if question.unit is None else {}
    derived: dict[str, str] = {}
    if {schema.UNIT_PRICE, schema.QUANTITY} <= typed.keys():
        derived[COST] = _COST
    if schema.INVOICE_DATE in typed:
        derived[DAY] = "CAST(InvoiceDate AS DATE)"
    if question.unit and question.unit.days:
        last = "(SELECT date_add(max(CAST(CAST(InvoiceDate AS TIMESTAMP) AS DATE)), 1) FROM __THIS__)"
        derived[AS_OF] = f"DATE'{as_of}'" if as_of else last
    more = "".join(f", {sql} AS {name}" for name, sql in derived.items())
    return f"SELECT *{more} FROM ({_select(whole | typed)} FROM __THIS__)"


def _rule(question: Question) -> str:
    """Return the name of the first rule that leaves a line out; null where none does."""
    rules = " ".join(f"WHEN {sql} THEN '{name}'" for name, sql in question.clean.items())
    return f"CASE {rules} END" if rules else "CAST(NULL AS STRING)"


def _value(feature: Feature) -> str:
    return f"CAST(({feature.sql}) AS {'STRING' if feature.is_category else 'DOUBLE'})"


def _filled(feature: Feature, name: str) -> str:
    """Return a value that counts: a text, or a finite number; else null, or what stands for it."""
    if feature.is_category:
        return name
    finite = f"CASE WHEN abs({name}) < double('Infinity') THEN {name} + 0D END"  # no -0
    return (
        finite
        if feature.fill is None
        else f"CASE WHEN _rule IS NULL THEN coalesce({finite}, {feature.fill!r}D) END"
    )


def _select(columns: Mapping[str, str]) -> str:
    return "SELECT " + ", ".join(sql if sql == name else f"{sql} AS {name}" for name, sql in columns.items())


def listed(values: Iterable[str]) -> str:
    """Write texts as SQL, between commas."""
    return ", ".join(quoted(value) for value in values)


def quoted(text: str) -> str:
    """Write a text as an SQL literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def keys_of(question: Question) -> Sequence[str]:
    """Name the columns that a record of a unit is known by; none of lines."""
    return question.unit.by if question.unit else ()
