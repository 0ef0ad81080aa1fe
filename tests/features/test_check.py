"""What is declared in SQL is refused in one line, before any job runs, or follows from the lines alone."""

import string
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.errors import InputError
from retail_clusters.features.check import _INSTEAD, FUNCTIONS, analyse, check_question
from retail_clusters.question import Description, Feature, Question, Unit

CUSTOMER = Unit(by=("CustomerID",), days=180)
INVOICE = Unit(by=("InvoiceNo",))
CUSTOMERS = Question(
    unit=CUSTOMER,
    clean={"no_customer": "CustomerID IS NULL", "cancelled": "InvoiceNo LIKE 'C%'"},
    features={
        "recency": Feature(sql="datediff(as_of, max(InvoiceDate))", scale=("log", "standard")),
        "frequency": Feature(sql="count(DISTINCT InvoiceNo)", scale=("log", "standard")),
        "spend": Feature(sql="sum(cost)", clip=(0.001, 0.999), scale=("log", "standard")),
    },
    describe={
        "country": Description(sql="mode(Country, true)"),
        "cancelled": Description(sql="count_if(InvoiceNo LIKE 'C%') / count(*)"),
        "foreign": Description(sql="bool_or(Country <> 'United Kingdom')"),
    },
)
INVOICES = Question(
    unit=INVOICE,
    features={
        "lines": Feature(sql="count(*)"),
        "units": Feature(sql="sum(Quantity)"),
        "worth": Feature(sql="sum(cost)"),
        "hour": Feature(sql="hour(min(InvoiceDate))"),
    },
)
MORE_OF_LINES = Question(
    features={
        "hour": Feature(sql="extract(HOUR FROM InvoiceDate)"),
        "part_of_day": Feature(
            sql="CASE WHEN hour(InvoiceDate) < 12 THEN 'am' ELSE 'pm' END", encode="onehot"
        ),
        "worth": Feature(sql="cost"),
        "unit_worth": Feature(sql="try_divide(cost, Quantity)", fill=0.0),
        "country": Feature(sql="initcap(trim(Country))", encode="onehot", top=10),
        "prefix": Feature(sql="substring(StockCode, 1, 2)", encode="onehot", top=10),
    }
)
MORE_OF_CUSTOMERS = Question(
    unit=CUSTOMER,
    features={
        "mean": Feature(sql="avg(cost)"),
        "spread": Feature(sql="sqrt(avg(cost * cost) - avg(cost) * avg(cost))"),
        "price": Feature(sql="median(UnitPrice)"),
        "mean_price": Feature(sql="avg(CAST(UnitPrice AS DECIMAL(18, 4)))"),
        "returned": Feature(sql="sum(cost) FILTER (WHERE Quantity < 0)", fill=0.0),
        "bulk": Feature(sql="sum(CASE WHEN Quantity > 100 THEN cost ELSE 0 END)"),
        "span": Feature(sql="timestampdiff(HOUR, min(InvoiceDate), max(InvoiceDate))"),
        "days": Feature(sql="count(DISTINCT day)"),
        "early": Feature(sql="avg(hour(InvoiceDate))"),
        "digits": Feature(sql="length(CustomerID)"),
    },
)
GOOD = (Question(), CUSTOMERS, INVOICES, MORE_OF_LINES, MORE_OF_CUSTOMERS)

#: What is written, and a part of what is said of it. For lines, in `features`:
BAD_OF_LINES = (
    # no expression, or more than one
    ("UnitPrice +", "must be one expression"),
    ("'abc", "must be one expression"),
    ("UnitPrice AS price", "from 'AS price' on"),
    ("UnitPrice, Quantity", "from ', Quantity' on"),
    ("UnitPrice -- in pounds", "comment"),
    ("SELECT 1", "from 'SELECT 1' on"),
    ("DROP TABLE lines", "statement"),
    ("cost FROM lines", "from 'FROM lines' on"),
    ("cost), (rand()", "from '), (rand()' on"),
    ("  ", "must be one expression"),
    ("(" * 900 + "1" + ")" * 900, "must be one expression"),
    # columns
    ("UnitPrise", "did you mean UnitPrice?"),
    ("lines.UnitPrice", "got lines.UnitPrice: did you mean UnitPrice?"),
    ("length(Postcode)", "got Postcode"),
    ("as_of", "add unit.days"),
    # functions
    ("rand()", "got rand"),
    ("uuid()", "got uuid"),
    ("current_date()", "count from as_of"),
    ("datediff('today', day)", "a date in full"),
    ("InvoiceDate > TIMESTAMP 'now'", "a date in full"),
    ("InvoiceDate > '12:30'", "got '12:30', which depends on today"),
    ("CAST(Description AS TIMESTAMP)", "depends on today"),
    ("my_udf(UnitPrice)", "got my_udf"),
    ("`rand`()", "got rand"),
    ("system.builtin.rand()", "got system.builtin.rand()"),
    ("java_method('java.util.UUID', 'randomUUID')", "got java_method"),
    ("input_file_name()", "got input_file_name"),
    ("from_utc_timestamp(InvoiceDate, 'CET')", "got from_utc_timestamp"),
    ("upper(Country)", "use initcap"),
    ("sin(hour(InvoiceDate))", "last bit"),
    ("hours(InvoiceDate)", "did you mean hour?"),
    # syntax
    ("(SELECT max(UnitPrice) FROM lines)", "a subquery"),
    ("sum(cost) OVER (PARTITION BY CustomerID)", "a window"),
    ("aggregate(array(1), 0, (x, y) -> x + y)", "a lambda"),
    ("*", "got *"),
    ("explode(array(1, 2))", "got explode"),
    ("split(Description, ' ')[0]", "got split(Description, ' ')[0]"),
    ("Country COLLATE UTF8_LCASE", "got Country COLLATE UTF8_LCASE"),
    (":price", "got :price"),
    # aggregates
    ("sum(cost)", "without a unit"),
    ("count(*)", "leave the aggregate out"),
)
#: For customers, in `features`:
BAD_OF_CUSTOMERS = (
    ("UnitPrice", "write such as max(UnitPrice)"),
    ("sum(cost) / Quantity", "got Quantity"),
    ("count(*) FILTER (WHERE Quantity < 0) + Quantity", "got Quantity"),
    ("1", "made of aggregates"),
    ("datediff(as_of, DATE '2011-01-01')", "made of aggregates"),
    ("sum(max(cost))", "max(cost) is inside another"),
    ("count(*) FILTER (WHERE sum(cost) > 0)", "sum(cost) is inside another"),
    ("count(cost, *)", "got *"),
    ("first(Country)", "use min or max"),
    ("max_by(Country, day)", "use min or max"),
    ("size(collect_list(StockCode))", "got size"),
    ("array_agg(StockCode)", "count(DISTINCT …)"),
    ("mode(Country)", "mode(…, true)"),
    ("percentile_approx(cost, 0.5)", "use percentile or median"),
    ("approx_count_distinct(StockCode)", "use count(DISTINCT …)"),
    ("stddev(cost)", "works in doubles"),
    ("sum(UnitPrice)", "CAST(UnitPrice AS DECIMAL(18, 4))"),
    ("sum(UnitPrice * Quantity)", "use cost, which is price × quantity"),
    ("avg(cost / Quantity)", "got cost / Quantity"),
    ("sum(CAST(cost AS DOUBLE))", "order of lines"),
    ("sum(Quantity * 1e-2)", "order of lines"),
    ("sum(if(Quantity > 0, UnitPrice, 0))", "order of lines"),
    ("sum(CASE WHEN Quantity > 0 THEN 1 ELSE UnitPrice END)", "order of lines"),
    ("percentile_cont(0.5) WITHIN GROUP (ORDER BY cost)", "WITHIN GROUP"),
)
#: What only Spark knows: a question, and a part of what is said of it.
BAD_FOR_SPARK = (
    (
        Question(features={"f": Feature(sql="Country")}),
        "features.f: sql must give a number, but gives string",
    ),
    (Question(features={"f": Feature(sql="InvoiceNo LIKE 'C%'")}), "gives boolean: write CAST(… AS INT)"),
    (Question(features={"f": Feature(sql="day")}), "gives date"),
    (Question(features={"f": Feature(sql="InvoiceDate - INTERVAL 1 DAY")}), "gives timestamp"),
    (Question(features={"f": Feature(sql="Quantity", encode="onehot")}), "features.f: sql must give a text"),
    (Question(features={"f": Feature(sql="NULL")}), "gives void"),
    (Question(features={"f": Feature(sql="length(Country, 1)")}), "requires 1 parameters"),
    (Question(features={"f": Feature(sql="CASE WHEN Quantity THEN 1 END")}), 'has the type "INT"'),
    (Question(features={"f": Feature(sql="Quantity IN ()")}), "IN predicate requires"),
    (Question(features={"f": Feature(sql="cost IN")}), "Syntax error"),
    (Question(features={"f": Feature(sql="CAST(cost AS DECIMAL(99, 2))")}), "precision"),
    (Question(clean={"c": "Quantity"}), "clean.c: sql must give a yes or no, but gives int"),
    (
        Question(describe={"d": Description(sql="day")}),
        "describe.d: sql must give a number, a yes or no, or a text",
    ),
    (Question(unit=CUSTOMER, features={"f": Feature(sql="bool_or(cost)")}), 'has the type "DECIMAL(29,6)"'),
    (Question(unit=CUSTOMER, features={"f": Feature(sql="max(day) - min(day)")}), "gives interval day"),
)


def question(sql: str, unit: Unit | None = None) -> Question:
    return Question(unit=unit, features={"f": Feature(sql=sql)})


def refusal(bad: Question) -> str:
    """Return what is said of a question that is refused."""
    with pytest.raises(InputError) as refused:
        check_question(bad)
    said = str(refused.value)
    assert said.isprintable(), "a refusal is one line"
    return said


@contextmanager
def no_job(spark: SparkSession) -> Iterator[None]:
    """Hold that no job of Spark's runs, and that one would have been seen."""
    spark.sparkContext.setJobGroup("checked", "what a check starts")
    tracker = spark.sparkContext.statusTracker()
    before = set(tracker.getJobIdsForGroup("checked"))
    try:
        yield
        assert set(tracker.getJobIdsForGroup("checked")) == before
        spark.range(1).count()
        assert set(tracker.getJobIdsForGroup("checked")) > before
    finally:
        spark.sparkContext._jsc.clearJobGroup()


@pytest.mark.parametrize("good", GOOD)
def test_a_question_whose_answer_follows_from_the_lines_is_accepted(good):
    check_question(good)


@pytest.mark.parametrize(("sql", "said"), BAD_OF_LINES)
def test_bad_sql_of_lines_is_refused_in_one_line_that_names_the_feature(sql, said):
    refused = refusal(question(sql))
    assert refused.startswith("features.f: ")
    assert said in refused


@pytest.mark.parametrize(("sql", "said"), BAD_OF_CUSTOMERS)
def test_bad_sql_of_a_unit_is_refused_in_one_line_that_names_the_feature(sql, said):
    refused = refusal(question(sql, CUSTOMER))
    assert refused.startswith("features.f: ")
    assert said in refused


def test_bad_sql_is_refused_where_it_stands():
    assert refusal(Question(clean={"c": "count(*) > 1"})).startswith("clean.c: without a unit, and in clean")
    assert refusal(
        Question(unit=CUSTOMER, clean={"c": "day > as_of"}, features=CUSTOMERS.features)
    ).startswith("clean.c: sql may name")
    assert refusal(Question(describe={"d": Description(sql="rand()")})).startswith("describe.d: ")


def test_as_of_is_there_with_a_window_alone():
    sql = "datediff(as_of, max(day))"
    check_question(question(sql, CUSTOMER))
    assert "add unit.days" in refusal(question(sql, INVOICE))


@pytest.mark.parametrize(
    "name", ["prediction", "segment", "distance", "margin", "name", "as_of", "customerid"]
)
def test_a_name_that_results_have_is_refused(name):
    assert f"features.{name}: a name must be free" in refusal(
        Question(unit=CUSTOMER, features={name: Feature(sql="count(*)")})
    )


def test_a_feature_may_have_the_name_of_a_column_that_is_no_key():
    check_question(Question(unit=CUSTOMER, features={"quantity": Feature(sql="sum(Quantity)")}))


@given(
    st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True), st.sampled_from(["", "1", "Quantity", "cost, 1"])
)
def test_any_function_that_is_not_listed_is_refused(name, arguments):
    words_of_the_language = {"extract", "interval", "not", "position", "substring", "trim"}
    if name not in FUNCTIONS | words_of_the_language:
        refusal(question(f"{name}({arguments})"))
        refusal(question(f"max({name}({arguments}))", CUSTOMER))


@given(st.sampled_from([*schema.COLUMNS, "cost", "day"]), st.data())
def test_columns_and_functions_are_known_in_any_case(column, data):
    upper = data.draw(st.lists(st.booleans(), min_size=len(column), max_size=len(column)))
    written = "".join(c.upper() if up else c.lower() for c, up in zip(column, upper, strict=True))
    check_question(question(written))
    check_question(question(f"Max({written})", CUSTOMER))


@given(st.text(string.ascii_letters + string.digits + string.punctuation + " \n", min_size=1, max_size=40))
def test_whatever_is_written_is_accepted_or_refused_in_one_line(sql):
    for unit in (None, CUSTOMER):
        with suppress(InputError):
            check_question(question(sql, unit))
            continue
        refusal(question(sql, unit))


@pytest.mark.parametrize("bad", BAD_FOR_SPARK, ids=lambda given: given if isinstance(given, str) else "")
def test_a_wrong_type_is_refused_in_one_line_without_a_job(spark, bad, capfd):
    wrong, said = bad
    check_question(wrong)
    with no_job(spark), pytest.raises(InputError) as refused:
        analyse(spark, wrong)
    assert said in str(refused.value)
    assert str(refused.value).isprintable()
    assert not capfd.readouterr().err, "Spark's own log would show a stack trace"


def test_spark_analyses_good_questions_without_a_job(spark):
    with no_job(spark):
        for good in GOOD:
            analyse(spark, good)


def test_every_listed_function_is_one_of_sparks(spark):
    of_the_grammar = {"timestampadd", "timestampdiff", "localtime"}
    theirs = {row.function for row in spark.sql("SHOW SYSTEM FUNCTIONS").collect()}
    assert FUNCTIONS | _INSTEAD.keys() <= theirs | of_the_grammar
    assert FUNCTIONS & _INSTEAD.keys() == {"mode"}


def test_aggregates_are_the_same_for_any_layout_of_the_lines(spark):
    asked = [feature.sql for feature in MORE_OF_CUSTOMERS.features.values()]
    asked += ["max(UnitPrice)", "percentile(UnitPrice, 0.9)", "mode(Country, true)"]
    lines = spark.range(4_000).selectExpr(
        "'A' AS CustomerID",
        "concat('c', id % 7) AS Country",
        "CAST(id % 200 - 20 AS INT) AS Quantity",
        "exp(id % 37) / 1e9 AS UnitPrice",
        "CAST(exp(id % 37) / 1e9 * (id % 200 - 20) AS DECIMAL(29, 6)) AS cost",
        "TIMESTAMP '2011-01-01' + make_dt_interval(0, id) AS InvoiceDate",
        "DATE '2011-01-01' + CAST(id % 9 AS INT) AS day",
    )
    layouts = (
        lines.coalesce(1),
        lines.repartition(7),
        lines.repartition(3, "Quantity").sortWithinPartitions("Country"),
    )
    exact, of_doubles = (
        {laid_out.groupBy("CustomerID").agg(*map(F.expr, sql)).first() for laid_out in layouts}
        for sql in (asked, ["sum(UnitPrice)"])
    )
    assert len(exact) == 1
    assert len(of_doubles) > 1, "the layouts are told apart by what is refused"
