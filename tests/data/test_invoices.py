import re
from datetime import datetime

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.data import invoices
from retail_clusters.data.invoices import WRONG_TYPE
from retail_clusters.settings import Columns

DATE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
CHARACTERS = st.sampled_from([*"0123456789-: TZ+.", "", "00", " 0"])

GOOD = [
    ("536365,85123A,WHITE,6,2010-12-01 08:26:00,2.55,17850.0,UK", "WHITE"),
    ('536365,85123A,"SET, ""RED""",6,2010-12-01 08:26:00,2.55,17850.0,UK', 'SET, "RED"'),
    ('536365,85123A,"x,y",6,2010-12-01 08:26:00,2.55,17850.0,"UK,"', "x,y"),
    ('536365,85123A,12" RULER,6,2010-12-01 08:26:00,2.55,17850.0,UK', '12" RULER'),
    ("C536365,D,,,2010-12-01 08:26:00,,,", None),
    (
        "536365,85123A,WEI\u00df \ufffd \u96ea,6,2010-12-01 08:26:00,2.55,17850.0,UK",
        "WEI\u00df \ufffd \u96ea",
    ),
    ("#536365,85123A,A\0B,6,2010-12-01 08:26:00,2.55,17850.0,UK", "A\0B"),
]
BAD = [
    ("a,b,x,six,2010-12-01 08:26:00,2.55,1.0,UK", WRONG_TYPE[schema.QUANTITY]),
    ("a,b,x,1.5,2010-12-01 08:26:00,2.55,1.0,UK", WRONG_TYPE[schema.QUANTITY]),
    ("a,b,x,2147483648,2010-12-01 08:26:00,2.55,1.0,UK", WRONG_TYPE[schema.QUANTITY]),
    ("a,b,x,6,2010-13-01 08:26:00,2.55,1.0,UK", invoices.NOT_A_DATE),
    ("a,b,x,6,2010-12-01,2.55,1.0,UK", invoices.NOT_A_DATE),
    ('a,b,"x,y",6,2010-12-01 08:26:00,cheap,1.0,UK', WRONG_TYPE[schema.UNIT_PRICE]),
    ("a,b,x,6,2010-12-01 08:26:00,2.55,me,UK", WRONG_TYPE[schema.CUSTOMER_ID]),
    ("a,b,x,6,2010-12-01 08:26:00,2.55,1.0", invoices.MISSING_FIELD),
    ("a;b;c", invoices.MISSING_FIELD),
    ('""', invoices.MISSING_FIELD),
    ("a,b,x,y,6,2010-12-01 08:26:00,2.55,1.0,UK", invoices.EXTRA_FIELD),
    ("a," * 30_000, invoices.EXTRA_FIELD),
    ('a,b,"open,6,2010-12-01 08:26:00,2.55,1.0,UK', invoices.OPEN_QUOTE),
    ('a,b,"x ""y""",6,2010-12-01 08:26:00,2.55,1.0,"UK', invoices.OPEN_QUOTE),
    ('"', invoices.OPEN_QUOTE),
    ('a,b,"' + '""' * 30_000 + ",6,2010-12-01 08:26:00,2.55,1.0,UK", invoices.OPEN_QUOTE),
    ("a,b," + '"x"' * 20_000 + ",six,2010-12-01 08:26:00,2.55,1.0,UK", WRONG_TYPE[schema.QUANTITY]),
    ('a,b,x,6,2010-12-01 08:26:00,2.55,1.0,"' + '""' * 30_000, invoices.OPEN_QUOTE),
    ("a,b,x,6,,2.55,1.0,UK", invoices.NO_DATE),
    (",,,,,,,", invoices.NO_DATE),
    ("a,b,x,6,2010-12-01 08:26:00,NaN,1.0,UK", invoices.NOT_FINITE),
    ("a,b,x,6,2010-12-01 08:26:00,-Inf,1.0,UK", invoices.NOT_FINITE),
    ("a,b,x,6,2010-12-01 08:26:00,1e400,1.0,UK", invoices.NOT_FINITE),
    ("a,b,x,6,2010-12-01 08:26:00,2.55,Infinity,UK", invoices.NOT_FINITE),
    ("a,b,x,6,2010-12-01 08:26:00,1e11,1.0,UK", invoices.OUT_OF_RANGE),
    ("a,b,x,6,2010-12-01 08:26:00,-1e154,1.0,UK", invoices.OUT_OF_RANGE),
    (f"a,b,{'x' * 3_000_000},6,2010-12-01 08:26:00,2.55,1.0,UK", invoices.TOO_LONG),
]


def test_good_lines_come_through_as_invoice_lines(spark: SparkSession) -> None:
    lines = spark.createDataFrame([(line, "f") for line, _ in GOOD], "line string, source_file string")
    found = invoices.good(invoices.parse(lines))
    assert found.columns == list(schema.COLUMNS)
    assert [row.Description for row in found.collect()] == [description for _, description in GOOD]


def test_every_other_line_is_quarantined_as_it_came_with_what_is_wrong(spark: SparkSession) -> None:
    lines = spark.createDataFrame([(line, "f") for line, _ in BAD], "line string, source_file string")
    found = invoices.quarantined(invoices.parse(lines)).collect()
    assert [(row.line[:80], row.reason) for row in found] == [(line[:80], reason) for line, reason in BAD]
    assert {row.source_file for row in found} == {"f"}


@pytest.mark.parametrize("text", [b"caf\xe9", b"\xff\xfe", b"\xc3"])
def test_text_that_is_not_utf8_is_quarantined_and_still_readable(spark: SparkSession, text: bytes) -> None:
    lines = spark.createDataFrame(
        [(b"a,b," + text + b",6,2010-12-01 08:26:00,2.55,1.0,UK",)], "line binary"
    ).selectExpr("cast(line AS string) AS line", "'f' AS source_file")
    parsed = invoices.parse(lines)
    (row,) = invoices.quarantined(parsed).collect()
    assert row.reason == invoices.NOT_UTF8
    assert "\ufffd" in row.line
    assert not invoices.good(parsed).count()


@pytest.mark.parametrize(
    ("form", "text", "read"),
    [
        ("dd/MM/yyyy HH:mm", "13/12/2010 08:26", "2010-12-13 08:26:00"),
        ("M/d/yyyy H:mm", "12/1/2010 8:26", "2010-12-01 08:26:00"),
        ("yyyy-MM-dd'T'HH:mm:ss", "2010-12-01T08:26:00", "2010-12-01 08:26:00"),
        ("dd/MM/yyyy HH:mm", "12/13/2010 08:26", None),
        ("dd/MM/yyyy HH:mm", "2010-12-01 08:26:00", None),
        ("dd/MM/yyyy HH:mm", "", None),
    ],
)
def test_a_date_is_read_in_the_form_that_the_settings_say(spark, form, text, read):
    columns = Columns(date_format=form)
    lines = spark.createDataFrame([(f"a,b,x,6,{text},1,1,UK", "f")], "line string, source_file string")
    (row,) = invoices.parse(lines, columns=columns).selectExpr("*", "string(InvoiceDate) AS date").collect()
    assert row.date == read
    assert row.reason == (None if read else invoices.not_a_date(columns) if text else invoices.NO_DATE)


def test_a_missing_customer_quantity_or_price_stays_missing(spark):
    lines = spark.createDataFrame(
        [("1,A,x,,2010-12-01 08:26:00,,,UK", "f")], "line string, source_file string"
    )
    (row,) = invoices.good(invoices.parse(lines)).collect()
    assert (row.Quantity, row.UnitPrice, row.CustomerID) == (None, None, None)


def a_date(text: str) -> bool:
    try:
        return bool(DATE.fullmatch(text)) and bool(datetime.fromisoformat(text))
    except ValueError:
        return False


@given(st.lists(st.tuples(st.datetimes(datetime(1900, 1, 1)), st.integers(1, 18), CHARACTERS), min_size=20))
@settings(max_examples=5, phases=[Phase.generate])
def test_a_date_is_a_date_and_a_time_in_full_and_nothing_else(spark, changes):
    whole = [str(when.replace(microsecond=0)) for when, _, _ in changes]
    texts = whole + [
        text[:at] + new + text[at + 1 :] for text, (_, at, new) in zip(whole, changes, strict=True)
    ]
    lines = spark.createDataFrame(
        [(f"a,b,x,6,{text},1,1,UK", "f") for text in texts], "line string, source_file string"
    )
    found = invoices.parse(lines).select(F.col(schema.INVOICE_DATE).cast("string")).collect()
    assert [row[0] for row in found] == [text if a_date(text) else None for text in texts]
