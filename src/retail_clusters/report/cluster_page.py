"""A clustering as one page to look into: price against quantity, each cluster to be switched on and off."""

from typing import Final

import numpy as np
import plotly.graph_objects as go

from retail_clusters.clustering.blocks import Floats
from retail_clusters.report import plots
from retail_clusters.report.cluster_charts import Picture

_COLOURED: Final = len(plots.SERIES)
_VISIBLE: Final = 20
#: Rows in the page, spread evenly over those there are.
_POINTS: Final = 6_000


def clusters_page(picture: Picture) -> str:
    """Draw price against quantity as a page to zoom into; each cluster can be switched off."""
    figure = go.Figure()
    names = picture.names(len(picture.profile))
    step = -(-len(picture.rows) // _POINTS)
    keep = np.arange(len(picture.rows)) % step == 0
    for place, (cluster, name) in enumerate(names.items()):
        chosen = keep & (picture.labels == cluster)
        figure.add_trace(
            go.Scattergl(
                x=_signed_log(picture.rows.quantities[chosen]),
                y=_signed_log(picture.rows.prices[chosen]),
                customdata=np.stack(
                    [getattr(picture.rows, name)[chosen] for name in ("quantities", "prices", "weights")],
                    axis=1,
                ),
                hovertemplate="quantity %{customdata[0]:,}<br>price %{customdata[1]:,.2f}"
                "<br>%{customdata[2]:,} lines",
                mode="markers",
                name=name,
                marker={"size": 5, "color": plots.SERIES[place] if place < _COLOURED else plots.GREY},
                visible=True if place < _VISIBLE else "legendonly",
            )
        )
    figure.update_layout(
        title="Price against quantity, by cluster: zoom in; a click on a name hides it",
        template="plotly_white",
        height=720,
        xaxis={"title": "quantity (pieces)", **_signed_log_ticks(picture.rows.quantities)},
        yaxis={"title": "price of a piece", **_signed_log_ticks(picture.rows.prices)},
    )
    return plots.to_page("Clusters", [figure])


def _signed_log(values: Floats) -> Floats:
    logs: Floats = np.sign(values) * np.log10(1 + np.abs(values))
    return logs


def _signed_log_ticks(values: Floats) -> dict[str, object]:
    """Return ticks at powers of ten for values drawn as `_signed_log` gives them."""
    top = int(np.ceil(np.log10(1 + np.abs(values).max())))
    ticks = np.array(
        [*(-(10.0**power) for power in range(top, -1, -1)), 0, *(10.0**p for p in range(top + 1))]
    )
    ticks = ticks[(ticks >= min(values.min(), 0) * 10) & (ticks <= max(values.max(), 0) * 10)]
    return {"tickvals": _signed_log(ticks), "ticktext": [plots.thousands(tick) for tick in ticks]}
