"""The description of a run of `purchases`, as the MLflow UI shows it."""

from collections.abc import Mapping, Sequence

from retail_clusters.infra import markdown
from retail_clusters.infra.locations import for_display
from retail_clusters.purchases.charts import customer_name
from retail_clusters.purchases.request import PurchasesRequest

_ROWS = 10


def of_purchases(
    request: PurchasesRequest, *, metrics: Mapping[str, float], rows: Sequence[tuple[object, ...]]
) -> str:
    """Say what was summed up, and show the largest customer-days, a row of `report.table_rows` each."""
    counts = ", ".join(
        f"{metrics[name]:,.0f} {text}"
        for name, text in (("lines", "lines"), ("files", "files"), ("customer_days", "customer-days"))
        if name in metrics
    )
    largest = [
        [customer_name(customer), f"{day}", f"{total:,.2f}", f"{lines:,}", f"{cancelled:,}"]  # type: ignore[arg-type]
        for customer, day, total, lines, cancelled in rows[:_ROWS]
    ]
    return "\n\n".join(
        [
            f"Spend per customer and day of `{for_display(request.data)}` as a {request.mode}: "
            f"{counts or 'nothing yet'}.",
            markdown.table(["CustomerID", "day", "spend", "lines", "cancellations"], largest),
            "All customers: `top_customers.png`; all days: `spend_per_day.png`.",
        ]
    )
