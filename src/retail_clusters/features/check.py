"""Declared SQL, checked before any job runs: the lines alone determine it, to the last bit, and it has a type.

First its text, read with Spark's grammar. Syntax and functions that are not listed here are refused, so what a new
version of Spark brings is, too. Then Spark itself analyses it, over no lines.
"""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from difflib import get_close_matches
from textwrap import shorten
from typing import ClassVar, Final, TypeGuard

from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, DataType, NumericType, StringType
from sqlglot import exp
from sqlglot.dialects.spark import Spark
from sqlglot.errors import ParseError
from sqlglot.parsers.spark import SparkParser

from retail_clusters import schema
from retail_clusters.errors import InputError
from retail_clusters.infra.spark import saying_what_is_wrong
from retail_clusters.question import Question, Unit

COST: Final = "cost"
AS_OF: Final = "as_of"
#: What SQL may name beside the columns of a line: price × quantity, the line's date, the window's end (exclusive).
DERIVED: Final[Mapping[str, str]] = {COST: "decimal(29,6)", schema.DAY: "date", AS_OF: "date"}

#: Names that results have beside the features.
RESERVED: Final = frozenset({
    AS_OF, schema.BATCH_ID, "clusters", "distance", schema.FEATURES, "margin", schema.MODEL_VERSION, "name",
    schema.PREDICTION, "previous", "segment", "since",
})  # fmt: skip


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Sums of doubles differ with the order of lines, so these are over whole numbers and decimals.
SUMS: Final = _names("avg mean sum")
AGGREGATES: Final = SUMS | _names(
    "any bool_and bool_or count count_if every max median min mode percentile some"
)
#: Functions whose result is a whole number or a decimal whatever goes in.
_EXACT: Final = _names("""
    ascii bigint ceil ceiling char_length character_length date_diff datediff day dayofmonth dayofweek dayofyear
    decimal floor hour instr int len length levenshtein locate minute month quarter regexp_count regexp_instr second
    smallint timestampdiff tinyint unix_date weekday weekofyear year
""")
#: Functions whose result is one where their arguments are; some begin with a condition.
_CHOOSING: Final = _names("if nvl2")
_KEEPING: Final = _CHOOSING | _names("""
    abs bround coalesce greatest ifnull least mod negative nullif nullifzero nvl pmod positive round try_add try_mod
    try_multiply try_subtract zeroifnull
""")
#: Spark's functions whose result the lines alone determine: no clock, chance, partition, language or zone.
FUNCTIONS: Final = AGGREGATES | _EXACT | _KEEPING | _names("""
    equal_null isnan isnotnull isnull nanvl
    degrees e exp expm1 ln log log10 log1p log2 pi pow power radians rint sign signum sqrt try_divide width_bucket
    boolean date double float string
    btrim concat concat_ws contains crc32 endswith hash initcap left like lpad ltrim regexp regexp_extract regexp_like
    regexp_replace regexp_substr repeat replace reverse right rlike rpad rtrim soundex split_part startswith substr
    substring_index translate xxhash64
    add_months date_add date_format date_from_unix_date date_part date_sub date_trunc dateadd datepart dayname
    last_day make_date monthname months_between next_day timestampadd to_date trunc try_to_date unix_seconds
""")  # fmt: skip
#: Of these the first of three arguments is a unit of time, which looks like a column.
_OF_TIME: Final = _names("date_add date_diff dateadd datediff timestampadd timestampdiff")
#: What to write instead of functions that people reach for.
_INSTEAD: Final[Mapping[str, str]] = {
    name: instead
    for names, instead in (
        ("""curdate current_date current_time current_timestamp localtime localtimestamp now to_timestamp
         unix_timestamp""", "count from as_of, which a unit with days has"),
        ("rand randn random randstr shuffle uniform uuid", "hash(InvoiceNo) scatters, too, and is the same each time"),
        ("any_value first first_value last last_value max_by min_by", "use min or max"),
        ("array_agg collect_list collect_set listagg string_agg", "use min, max, mode(…, true) or count(DISTINCT …)"),
        ("approx_count_distinct", "use count(DISTINCT …)"),
        ("mode", "mode(…, true) takes the least of the most frequent"),
        ("approx_percentile percentile_approx percentile_cont percentile_disc", "use percentile or median"),
        ("""corr covar_pop covar_samp kurtosis regr_r2 regr_slope skewness std stddev stddev_pop stddev_samp try_avg
         try_sum var_pop var_samp variance""", "it works in doubles, but means of decimals are exact, such as "
         "avg(cost * cost) - avg(cost) * avg(cost)"),
        ("ilike lcase lower ucase upper", "use initcap or RLIKE '(?i)…', as capitals depend on the machine's language"),
        ("acos asin atan atan2 cbrt cos sin tan", "Java leaves its last bit to the processor; encode: onehot tells "
         "hours apart"),
    )
    for name in names.split()
}  # fmt: skip

_COMPARISONS: Final = (
    exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Between, exp.In,
)  # fmt: skip
_ARITHMETIC: Final = (exp.Add, exp.Sub, exp.Mul, exp.Mod, exp.Neg, exp.Paren, exp.Distinct)
#: `Anonymous` is any function.
_SYNTAX: Final = frozenset({
    *_COMPARISONS, *_ARITHMETIC, exp.Div, exp.IntDiv, exp.BitwiseAnd, exp.BitwiseNot, exp.BitwiseOr, exp.BitwiseXor,
    exp.And, exp.Or, exp.Not, exp.Is, exp.Like, exp.RegexpLike, exp.Escape, exp.Any, exp.All, exp.Tuple,
    exp.DPipe, exp.Concat, exp.Trim, exp.Substring, exp.StrPosition, exp.Extract, exp.Interval, exp.Var,
    exp.Anonymous, exp.Case, exp.If, exp.Cast, exp.TryCast, exp.DataType, exp.DataTypeParam, exp.Filter, exp.Where,
    exp.Column, exp.Identifier, exp.Literal, exp.RawString, exp.Boolean, exp.Null,
})  # fmt: skip
_REFUSED: Final = {
    exp.Query: "a subquery",
    exp.Exists: "a subquery",
    exp.Window: "a window",
    exp.Lambda: "a lambda",
}
_SPARK: Final = Spark()
logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns of what is refused here in our own words
#: Which types a result may have, and what is said of others.
_CONDITION: Final = ((BooleanType,), "a yes or no, but gives {}: compare it with something")
_NUMBER: Final = (
    (NumericType,),
    "a number, but gives {}: write CAST(… AS INT) of a yes or no, datediff of dates, or add encode: onehot to a text",
)
_CATEGORY: Final = ((StringType,), "a text, as it has encode, but gives {}: write CAST(… AS STRING)")
_SHOWN: Final = (
    (NumericType, BooleanType, StringType),
    "a number, a yes or no, or a text, but gives {}: cast it",
)


class _Parser(SparkParser):
    """Spark's grammar, in which a function keeps the name that it is written with."""

    FUNCTIONS: ClassVar = {}
    FUNCTION_PARSERS: ClassVar = {
        name: SparkParser.FUNCTION_PARSERS[name]
        for name in ("CAST", "TRY_CAST", "EXTRACT", "TRIM", "SUBSTRING", "POSITION")
    }
    NO_PAREN_FUNCTIONS: ClassVar = {}
    NO_PAREN_FUNCTION_PARSERS: ClassVar = {"CASE": SparkParser.NO_PAREN_FUNCTION_PARSERS["CASE"]}


@dataclass(frozen=True)
class _Declared:
    """One expression of a question: where it stands, what it is over, and what it must give."""

    place: str
    sql: str
    unit: Unit | None
    columns: Sequence[str]
    types: tuple[type[DataType], ...]
    must_give: str


def check_question(question: Question) -> None:
    """Refuse SQL that does not follow from the lines alone, and names that results have; Spark is not asked.

    Raises:
        InputError: names section and feature, in one line.
    """
    taken = {*RESERVED, *(key.lower() for key in (question.unit.by if question.unit else ()))}
    for section, names in (("features", question.features), ("describe", question.describe)):
        if wrong := sorted(taken & names.keys()):
            raise InputError(
                f"{section}.{wrong[0]}: a name must be free in results, but {wrong[0]} stands there: give it another"
            )
    for declared in _declared(question):
        try:
            _check(declared)
        except InputError as refused:
            raise InputError(f"{declared.place}: {refused}") from refused
        except RecursionError as deep:
            raise InputError(f"{declared.place}: sql must be read by people, but nests too deeply") from deep


def analyse(spark: SparkSession, question: Question) -> None:
    """Refuse SQL in which Spark finds a wrong type, or whose result has one; no job runs.

    Raises:
        InputError: names section and feature, in one line.
    """
    types = {field.name: field.dataType for field in schema.INVOICE_LINE} | dict(DERIVED)
    lines = spark.range(0).select(*(F.lit(None).cast(of).alias(name) for name, of in types.items()))
    for declared in _declared(question):
        with saying_what_is_wrong(f"{declared.place}: sql must be an expression that Spark can compute"):
            result, unit = F.expr(f"({declared.sql})"), declared.unit  # in parentheses has no name
            frame = lines.groupBy(*unit.by, AS_OF).agg(result) if unit else lines.select(result)
        found = frame.schema.fields[-1].dataType
        if not isinstance(found, declared.types):
            raise InputError(
                f"{declared.place}: sql must give {declared.must_give.format(found.simpleString())}"
            )


def _declared(question: Question) -> Iterator[_Declared]:
    """Go through the expressions of a question."""
    unit, columns = question.unit, [*schema.COLUMNS, COST, schema.DAY]
    for name, sql in question.clean.items():
        yield _Declared(f"clean.{name}", sql, None, columns, *_CONDITION)
    if unit and unit.days:
        columns = [*columns, AS_OF]
    for name, feature in question.features.items():
        wanted = _CATEGORY if feature.is_category else _NUMBER
        yield _Declared(f"features.{name}", feature.sql, unit, columns, *wanted)
    for name, description in question.describe.items():
        yield _Declared(f"describe.{name}", description.sql, unit, columns, *_SHOWN)


def _check(declared: _Declared) -> None:
    """Go over one expression, from its letters to what its aggregates sum."""
    tree = _read(declared.sql)
    for node in tree.walk():
        _check_syntax(node)
    calls = list(tree.find_all(exp.Anonymous))
    for call in calls:
        name = call.name.lower()
        if name not in FUNCTIONS or (name == "mode" and call.expressions[1:] != [exp.true()]):
            raise _unknown_function(name)
    columns = [column for column in tree.find_all(exp.Column) if not _is_unit_of_time(column)]
    for column in columns:
        _check_column(column, declared)
    aggregates = [call for call in calls if _is_call(call, AGGREGATES)]
    for call in aggregates:
        _check_aggregate(call, declared)
    if declared.unit:
        _check_grouping(tree, columns, declared.unit)


def _read(sql: str) -> exp.Expr:
    """Return the tree of what must be one expression and no more."""
    rest = sql
    try:
        tokens = _SPARK.tokenize(sql)
        more = [token.start for token in tokens if token.comments or token.token_type.name == "SEMICOLON"]
        rest = sql[more[0] :] if more else sql
        tree = _Parser(dialect=_SPARK).parse_into(exp.Condition, tokens, sql)[0]
        if tree and not more:
            return tree
    except ParseError as error:
        rest = "".join(error.errors[0].get(part) or "" for part in ("highlight", "end_context")) or sql
    except Exception:  # a quote that does not end, and whatever else trips the parser
        rest = sql
    raise InputError(
        "sql must be one expression of Spark SQL, without a name (AS), comment, semicolon or statement, but cannot "
        f"be read as one from {shorten(rest, 60)!r} on: leave that out, or correct it"
    )


def _check_syntax(node: exp.Expr) -> None:
    """Refuse what is no value computed from columns, and what stands for today."""
    if _asks_the_clock(node):
        raise InputError(
            f"sql must name a date in full, such as DATE '2011-01-31', but got {_shown(node)}, which depends on "
            "today: count from as_of, which a unit with days has"
        )
    counts = (
        isinstance(node, exp.Star) and _is_call(node.parent, {"count"}) and node.parent.expressions == [node]
    )
    if type(node) not in _SYNTAX and not counts:
        found = next((name for kind, name in _REFUSED.items() if isinstance(node, kind)), _shown(node))
        raise InputError(f"sql must compute a value from the columns of lines, but got {found}: leave it out")


def _asks_the_clock(node: exp.Expr) -> bool:
    """Tell whether a value depends on today: 'now' does, and a text without a date that becomes a time."""
    above, time = node.parent, schema.INVOICE_DATE.lower()
    if isinstance(node, exp.Cast) and not isinstance(node.this, exp.Literal):
        return node.to.sql().startswith("TIME") and node.this.name.lower() not in {time, schema.DAY, AS_OF}
    if not isinstance(node, exp.RawString) and not node.is_string:
        return False
    text = node.name.strip().lower()
    becomes_time = (isinstance(above, exp.Cast) and above.to.sql().startswith(("DATE", "TIME"))) or (
        isinstance(above, _COMPARISONS) and any(of.name.lower() == time for of in above.iter_expressions())
    )
    return text in {"now", "today", "tomorrow", "yesterday"} or (
        becomes_time and not re.match(r"\d{4}", text)
    )


def _unknown_function(name: str) -> InputError:
    close = get_close_matches(name, FUNCTIONS, n=1, cutoff=0.75)
    way_out = f"did you mean {close[0]}?" if close else "use Spark's own of numbers, texts and dates"
    return InputError(
        "sql may call functions that the lines alone determine, whatever their order, "
        f"but got {name}: {_INSTEAD.get(name, way_out)}"
    )


def _check_column(column: exp.Column, declared: _Declared) -> None:
    """Refuse what is no column, with the nearest name; those of functions without parentheses are such."""
    name, known = column.name.lower(), {name.lower(): name for name in declared.columns}
    if name in known and len(column.parts) == 1:
        return
    if name in _INSTEAD:
        raise _unknown_function(name)
    close = get_close_matches(name, known, n=1)
    way_out = f"did you mean {known[close[0]]}?" if close else "correct the name, or quote what is a text"
    if name == AS_OF:
        way_out = "it is the end of a unit's window, so add unit.days; in clean, there is none"
    raise InputError(f"sql may name {', '.join(declared.columns)}, but got {_shown(column)}: {way_out}")


def _check_aggregate(call: exp.Anonymous, declared: _Declared) -> None:
    """Refuse an aggregate over one line, one inside another, and a sum that depends on the order of lines."""
    if not declared.unit:
        raise InputError(
            f"without a unit, and in clean, sql is over one line, but got {_shown(call)}: leave the aggregate out, "
            "or declare a unit"
        )
    if _is_aggregated(call):
        raise InputError(
            f"an aggregate must be over lines, but {_shown(call)} is inside another: leave one out"
        )
    for value in call.expressions if _is_call(call, SUMS) else ():
        if not _is_exact(value):
            shown = _shown(value)
            raise InputError(
                f"{call.name.lower()} must not depend on the order of lines, as it does over doubles, but got {shown}: "
                f"use cost, which is price × quantity, or CAST({shown} AS DECIMAL(18, 4))"
            )


def _check_grouping(tree: exp.Expr, columns: Sequence[exp.Column], unit: Unit) -> None:
    """Refuse what has a value for each line, and what is the same for all keys."""
    keys = {key.lower() for key in unit.by}
    bare = [column for column in columns if not _is_aggregated(column) and column.name.lower() != AS_OF]
    of_lines = [_shown(column) for column in bare if column.name.lower() not in keys]
    has_aggregate = any(_is_call(node, AGGREGATES) for node in tree.walk())
    if of_lines or not (has_aggregate or bare):
        found, example = (of_lines or [_shown(tree)])[0], (of_lines or [COST])[0]
        raise InputError(
            "with a unit sql must be made of aggregates and of the columns in unit.by, "
            f"but got {found}: write such as max({example})"
        )


def _is_exact(value: exp.Expr) -> bool:
    """Tell whether a value is a whole number or a decimal, whose sum is the same in any order."""
    name, parts = value.name.lower(), list(value.iter_expressions())
    if isinstance(value, exp.Column):
        return name in {COST, schema.QUANTITY.lower()}
    if isinstance(value, exp.Literal):
        return not value.is_string and "e" not in name
    if isinstance(value, exp.Cast):
        return value.to.is_type("tinyint", "smallint", "int", "bigint", "decimal")
    if isinstance(value, exp.Case):
        default = value.args.get("default") or exp.null()
        parts = [default, *(branch.args["true"] for branch in value.args["ifs"])]
    elif _is_call(value, _CHOOSING):
        parts = parts[1:]
    elif not isinstance(value, _ARITHMETIC) and not _is_call(value, _KEEPING):
        whole = isinstance(value, exp.Null | exp.Extract | exp.IntDiv | exp.StrPosition)
        return whole or _is_call(value, _EXACT | AGGREGATES)
    return all(map(_is_exact, parts))


def _is_call(node: exp.Expr | None, names: Set[str]) -> TypeGuard[exp.Anonymous]:
    return isinstance(node, exp.Anonymous) and node.name.lower() in names


def _is_unit_of_time(column: exp.Column) -> bool:
    """Tell whether a name is the HOUR of timestampdiff(HOUR, …)."""
    call = column.parent
    return _is_call(call, _OF_TIME) and len(call.expressions) == 3 and call.expressions[0] is column


def _is_aggregated(node: exp.Expr) -> bool:
    """Tell whether a node stands in an aggregate or in the FILTER of one."""
    above = node.parent
    if isinstance(above, exp.Filter) and above.this is node:
        above = above.parent
    while above and not (_is_call(above, AGGREGATES) or isinstance(above, exp.Filter)):
        above = above.parent
    return above is not None


def _shown(node: exp.Expr) -> str:
    """Return SQL much as it was written, in one line."""
    return shorten(node.sql(_SPARK, normalize_functions=False), 60, placeholder=" …")
