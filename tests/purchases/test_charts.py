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
