import math
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_clusters import schema
from retail_clusters.data import csv_files, invoices
from retail_clusters.data.csv_files import Layout
from retail_clusters.input_settings import Input
from tests.data.python_reading import read_line

USUAL = Input()
GERMAN = Input(
    encoding="cp1252", separator=";", decimal=",", thousands=".", date_format=("dd.MM.yy HH:mm", "d.M.yyyy"),
    null_words=("NULL", "n/a"),
)  # fmt: skip
BARE = Input(separator="\t", quote="", thousands=" ", date_format=("MM/dd/yyyy hh:mm a", "yyyyMMdd"))

DATE = "2010-12-01 08:26:00"
GOOD = [
    (f"536365,85123A,WHITE,6,{DATE},2.55,17850.0,UK", ("536365", "WHITE", 6, 2.55, "17850")),
    (f'536365,85123A,"SET, ""RED""",6,{DATE},2.55,17850,UK', ("536365", 'SET, "RED"', 6, 2.55, "17850")),
    (f'536365,85123A,12" RULER,-6,{DATE},.5,017850,"UK,"', ("536365", '12" RULER', -6, 0.5, "017850")),
    (f"C536365,D,,,{DATE},,,", ("C536365", None, None, None, None)),
    (f'"",D,"  ","",{DATE}," ","",', (None, None, None, None, None)),
    (f" 1 ,D, x , 6 , {DATE} , +2.5e1 , 17850D ,", ("1", " x ", 6, 25.0, "17850D")),
    (f'#1,85123A,"A\0B",6.0,{DATE},1e-05,9007199254740993,UK', ("#1", "A\0B", 6, 1e-05, "9007199254740993")),
    (
        f"1,85123A,WEI\u00df \ufffd \u96ea,6,{DATE},-0,16.00,UK",
        ("1", "WEI\u00df \ufffd \u96ea", 6, 0.0, "16.00"),
    ),
]
QUOTES, QUOTED = '""' * 30_000, '"x"' * 20_000
NO_NUMBERS = [
    "cheap",
    "7F",
    "17D",
    "0x1p3",
    "NaN",
    "Infinity",
    "-Inf",
    "1_000",
    "2.5.5",
    ".",
    "+",
    "1e",
    "1e1000",
]
NO_DATES = [
    "2010-13-01 08:26:00", "2010-12-01", "2010-12-01T08:26:00", "2010-12-01 08:26:00Z", "2010-02-30 00:00:00",
    "2010-12-01 24:00:00", "20101201", "now", "12/01/2010 08:26",
]  # fmt: skip
FAR_DATES = [
    "9999-12-31 23:59:59",
    "0001-01-01 00:00:00",
    "0000-01-01 00:00:00",
    "1899-12-31 23:59:59",
    "2200-01-01 00:00:00",
]
BAD = [
    *((f"a,b,x,{six},{DATE},2.55,1.0,UK", invoices.NOT_WHOLE) for six in ("six", "1.5", "1e3", "2147483648")),
    *(
        (f"a,b,x,6,{DATE},{price},1,UK", invoices.NOT_A_NUMBER)
        for price in (*NO_NUMBERS, "\u0661", "2\u00a0000", "£2")
    ),
    *((f'a,b,x,6,{DATE},"{price}",1,UK', invoices.NOT_A_NUMBER) for price in ("2,55", "1,000", "$2")),
    *(
        (f"a,b,x,6,{DATE},{price},1,UK", invoices.OUT_OF_RANGE)
        for price in ("1e11", "-1e154", "1e400", "9" * 20)
    ),
    *((f"a,b,x,6,{when},1,1,UK", invoices.not_a_date()) for when in NO_DATES),
    *((f"a,b,x,6,{when},1,1,UK", invoices.OUT_OF_TIME) for when in FAR_DATES),
    *(
        (f"a,b,x,6,{DATE},1,{word},UK", invoices.null_word("CustomerID"))
        for word in ("NULL", "nan", "N/A", "\\N")
    ),
    (f"null,b,x,6,{DATE},1,1,UK", invoices.null_word("InvoiceNo")),
    (f"a,b,x,6,{DATE},2.55,1.0", invoices.NOT_THE_FIELDS),
    ("a;b;c", invoices.NOT_THE_FIELDS),
    ('""', invoices.NOT_THE_FIELDS),
    (f"a,b,x,y,6,{DATE},2.55,1.0,UK", invoices.NOT_THE_FIELDS),
    ("a," * 30_000, invoices.NOT_THE_FIELDS),
    (f'a,b,"open,6,{DATE},2.55,1.0,UK', invoices.BAD_QUOTE),
    (f'a,b,"x ""y""",6,{DATE},2.55,1.0,"UK', invoices.BAD_QUOTE),
    ('"', invoices.BAD_QUOTE),
    (f'a,b,"{QUOTES},6,{DATE},2.55,1.0,UK', invoices.BAD_QUOTE),
    (f'a,b,"x"y,6,{DATE},2.55,1.0,UK', invoices.BAD_QUOTE),
    (f'a,b,"x" ,6,{DATE},2.55,1.0,UK', invoices.BAD_QUOTE),
    (f"a,b,{QUOTED},six,{DATE},2.55,1.0,UK", invoices.NOT_WHOLE),
    ("a,b,x,6,,2.55,1.0,UK", invoices.NO_DATE),
    (",,,,,,,", invoices.NO_DATE),
    (f"a,b,{'x' * 3_000_000},6,{DATE},2.55,1.0,UK", invoices.TOO_LONG),
]


def lines_of(spark: SparkSession, raw: list[bytes], how: Input = USUAL) -> DataFrame:
    """Lines as the reader of files gives them, with their number as the file."""
    text = csv_files.decoded(F.col("raw").cast("string"), how.encoding)
    frame = spark.createDataFrame(
        [(str(at), each) for at, each in enumerate(raw)], "source_file string, raw binary"
    )
    return frame.select(text.alias(schema.LINE), schema.SOURCE_FILE)


def read_by_spark(spark: SparkSession, raw: list[bytes], how: Input, layout: Layout = csv_files.USUAL_LAYOUT):
    parsed = invoices.parse(lines_of(spark, raw, how), layout=layout, how=how)
    micros = F.unix_micros(schema.INVOICE_DATE).alias(schema.INVOICE_DATE)
    columns = [micros if name == schema.INVOICE_DATE else name for name in schema.COLUMNS]
    rows = parsed.select(*columns, schema.REASON, F.col(schema.SOURCE_FILE).cast("int").alias("at")).collect()
    return [row.reason or tuple(row[:8]) for row in sorted(rows, key=lambda row: row.at)]


def read_by_python(raw: bytes, how: Input):
    found = read_line(raw, how)
    if isinstance(found, str):
        return found
    return tuple(
        round(value.replace(tzinfo=UTC).timestamp() * 1_000_000) if isinstance(value, datetime) else value
        for value in found
    )


def test_good_lines_come_through_as_invoice_lines(spark: SparkSession) -> None:
    parsed = invoices.parse(lines_of(spark, [line.encode() for line, _ in GOOD]))
    found = invoices.good(parsed)
    assert found.columns == list(schema.COLUMNS)
    said = [tuple(row) for row in found.select(*(schema.COLUMNS[at] for at in (0, 2, 3, 5, 6))).collect()]
    assert said == [values for _, values in GOOD]
    assert not invoices.quarantined(parsed).count()


def test_every_other_line_is_quarantined_as_it_came_with_what_is_wrong(spark: SparkSession) -> None:
    found = invoices.quarantined(
        invoices.parse(lines_of(spark, [line.encode() for line, _ in BAD]))
    ).collect()
    assert [(row.line[:80], row.reason) for row in found] == [(line[:80], reason) for line, reason in BAD]


@pytest.mark.parametrize("text", [b"caf\xe9", b"\xff\xfe", b"\xc3"])
def test_text_that_is_not_utf8_is_quarantined_and_still_readable(spark: SparkSession, text: bytes) -> None:
    parsed = invoices.parse(lines_of(spark, [b"a,b," + text + b",6,2010-12-01 08:26:00,2.55,1.0,UK"]))
    (row,) = invoices.quarantined(parsed).collect()
    assert row.reason == "the text is not UTF-8"
    assert "\ufffd" in row.line


def test_a_line_is_read_as_its_settings_say(spark: SparkSession) -> None:
    lines = [
        ("1;A;Kühlschrank – 5 €;1.000;03.12.10 08:26;1.234,5;17850,0;Österreich", 1000),
        ("1;A;NULL;NULL;3.1.2010;2,50;n/a;", None),
        ('1;A;"a;b";6,0;03.12.10 08:26;,5;null;', 6),
    ]
    raw = [line.encode("cp1252") for line, _ in lines]
    found = read_by_spark(spark, raw, GERMAN)
    assert [row[3] for row in found] == [quantity for _, quantity in lines]
    assert [(row[2], row[5], row[6], row[7]) for row in found] == [
        ("Kühlschrank – 5 €", 1234.5, "17850", "Österreich"),
        (None, 2.5, None, None),
        ("a;b", 0.5, "null", None),
    ]


def test_a_line_has_the_columns_of_its_header_in_any_order_and_others_as_text(spark: SparkSession) -> None:
    names = ("Unnamed: 0", "Country", "CustomerID", "UnitPrice", "a `b`.c", "InvoiceDate", "Quantity", "Description",
             "StockCode", "InvoiceNo")  # fmt: skip
    layout = Layout(names=names)
    raw = [f"7,UK,1,2.5,x,{DATE},6,CUP,A,536365".encode()]
    parsed = invoices.parse(lines_of(spark, raw), layout=layout)
    assert parsed.columns == [*schema.COLUMNS, "Unnamed: 0", "a `b`.c", "line", "source_file", "reason"]
    (row,) = parsed.collect()
    assert (row.InvoiceNo, row.Quantity, row.Country, row["Unnamed: 0"], row["a `b`.c"]) == (
        "536365",
        6,
        "UK",
        "7",
        "x",
    )


# Fields as they may stand in files, and what may happen to them on the way.
WORDS = {
    "number": [
        "2.55", "0", "-1", "+.5", "5.", "1e3", "1E-05", "1e400", "1e11", "99999999999.9", "1.000", "1.000,5", "1,5",
        "12.345.678", "1.00", "1 000", "7F", "17D", "0x1", "NaN", "Infinity", "", " ", "1.0000000000000000001",
    ],
    "integer": [
        "6", "-12", "+3", "007", "6.0", "6.", "6,0", "1.000", "1 000", "2147483647", "2147483648", "-2147483648", "1.5",
        "",
    ],
    "date": [
        DATE, "2011-02-29 00:00:00", "2012-02-29 23:59:59", "9999-12-31 23:59:59", "0000-01-01 00:00:00", "2010-12-01",
        "01.12.10 08:26", "1.2.2010", "31.11.2010", "12/01/2010 08:26 AM", "12/01/2010 12:00 pm", "12/01/2010 13:00 PM",
        "20101201", "",
    ],
    "name": [
        "536365", "C536365", "85123A", "17850.0", "17850,0", "17850.00", "0", "NULL", "null", "n/a", "nan", "-", "",
        "é",
    ],
    "text": ["WHITE HANGING HEART", "", " x ", "WEIß", "12 RULER", "NULL", "€ 5", "a\x00b", "\x7f"],
}  # fmt: skip
KINDS = ("name", "name", "text", "integer", "date", "number", "name", "text")
SIGNS = st.sampled_from([*",;\t\"' .-+:/eE0179NULlaAMp\u00e9\u20ac\u0130\ufeff\x00\\", '""', ",,", '"'])
CHANGE = st.tuples(
    st.sampled_from(["put", "put", "over", "cut", "twice", "byte"]), st.integers(0, 400), SIGNS
)
LINE = st.tuples(
    st.tuples(*(st.sampled_from(WORDS[kind]) for kind in KINDS)),
    st.lists(st.booleans(), min_size=8, max_size=8),
    st.sampled_from([0, 0, 0, 0, 0, 1, -1]),
    st.lists(CHANGE, max_size=3),
)


def written(line, how: Input) -> bytes:
    """Write a line as an export would, and change it."""
    fields, quoted, more, changes = line
    chosen = [*fields, "x"][: 8 + more]
    texts = [
        f"{how.quote}{field.replace(how.quote, how.quote * 2)}{how.quote}" if quote and how.quote else field
        for field, quote in zip(chosen, [*quoted, False], strict=False)
    ]
    raw = how.separator.join(texts).encode(how.encoding, errors="replace")
    for kind, place, sign in changes:
        at, new = place % (len(raw) + 1), sign.encode(how.encoding, errors="replace")
        if kind == "cut":
            raw = raw[:at]
        elif kind == "twice":
            raw = raw[:at] + raw[at:] * 2
        elif kind == "byte":
            raw = raw[:at] + bytes([place % 256]) + raw[at:]
        else:
            raw = raw[:at] + new + raw[at + (kind == "over") :]
    return raw.replace(b"\n", b" ").replace(b"\r", b" ")


def hold_spark_to_python(spark: SparkSession, lines, how: Input) -> int:
    raw = [
        each for line in lines if (each := written(line, how)).strip(b" ")
    ]  # blank lines are left out before
    by_spark = read_by_spark(spark, raw, how)
    by_python = [read_by_python(each, how) for each in raw]
    differing = [row for row in zip(raw, by_spark, by_python, strict=True) if row[1] != row[2]]
    assert not differing, differing[:5]
    return sum(not isinstance(each, str) for each in by_python)


@pytest.mark.parametrize("how", [USUAL, GERMAN, BARE], ids=["usual", "German", "bare"])
def test_spark_reads_spoilt_lines_as_plain_python_does(spark, how):
    good = []

    @given(st.lists(LINE, min_size=150, max_size=150))
    @settings(
        max_examples=3, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    def check(lines):
        good.append(hold_spark_to_python(spark, lines, how))

    check()
    assert sum(good)


@pytest.mark.soak
@pytest.mark.parametrize("how", [USUAL, GERMAN, BARE], ids=["usual", "German", "bare"])
def test_spark_reads_twenty_thousand_spoilt_lines_in_three_forms_as_plain_python_does(spark, how):
    @given(st.lists(LINE, min_size=150, max_size=150))
    @settings(max_examples=50, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    def check(lines):
        hold_spark_to_python(spark, lines, how)

    check()


def test_whole_numbers_and_prices_are_those_of_decimal(spark):
    """The edges, beside Python's own numbers: no digit is lost, and none is read that is not there."""
    numbers = [
        "0.1",
        "2.675",
        "99999999999.99999",
        "1e-400",
        "4.9e-324",
        str(math.pi),
        "1" * 11,
        f"0.{'3' * 40}",
    ]
    found = read_by_spark(spark, [f"a,b,x,1,{DATE},{text},1,UK".encode() for text in numbers], USUAL)
    assert [row[5] for row in found] == [float(text) for text in numbers]
