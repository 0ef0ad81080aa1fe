from datetime import date
from decimal import Decimal

from retail_clusters.purchases import charts


def test_table_shows_totals_to_the_cent_and_a_missing_customer_as_null():
    rows = [(None, date(2011, 3, 29), Decimal("33521.395"), 1_200, 3), ("17850", date(2011, 3, 1), 2, 1, 0)]

    shown = [line.split() for line in charts.table(charts.cells(rows)).splitlines()]

    assert shown == [
        ["CustomerID", "day", "total_cost", "lines", "cancellations"],
        ["null", "2011-03-29", "33,521.40", "1,200", "3"],
        ["17850", "2011-03-01", "2.00", "1", "0"],
    ]
    assert charts.table(charts.cells([])) == "(no rows)"


def test_charts_draw_few_days_and_many_and_tell_of_lines_without_a_customer():
    figure = charts.customers_chart([(None, Decimal(900), 9), ("17850", Decimal(5), 1)])
    assert "Without CustomerID, not drawn: 900 on 9 days" in [text.get_text() for text in figure.texts]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["17850"]

    year = [(date(2011, month, day), Decimal(day)) for month in range(1, 7) for day in (1, 15)]
    for days in (year[:1], year):
        labels = [label.get_text() for label in charts.days_chart(days).axes[0].get_xticklabels()]
        assert any("2011" in label for label in labels)
