"""A sweep as one interactive page: every trial under the pointer."""

import html

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from retail_clusters.report import plots
from retail_clusters.report.charts import silhouette_range

SWEEP_PAGE = "charts/sweep.html"

_PANELS = {
    "validation_silhouette": "silhouette",
    "largest_cluster_share": "largest cluster",
    "train_cost": "training cost (WSSSE)",
}


def sweep_page(name: str, trials: pd.DataFrame, *, chosen: tuple[int, int] | None, guardrail: float) -> str:
    """Draw the trials of a study as an HTML page that needs no network: about 5 MB of script."""
    drawn = trials_figure(trials, chosen=chosen, guardrail=guardrail)
    head = f"<!doctype html><meta charset='utf-8'><title>Sweep {html.escape(name)}</title>"
    return head + str(drawn.to_html(full_html=False, include_plotlyjs=True))


def trials_figure(trials: pd.DataFrame, *, chosen: tuple[int, int] | None, guardrail: float) -> go.Figure:
    """Draw silhouette, largest share and cost of every trial against K, one above another."""
    figure = make_subplots(rows=len(_PANELS), shared_xaxes=True, vertical_spacing=0.04)
    k, seed = chosen or (-1, -1)
    picked, usable = (trials["k"] == k) & (trials["seed"] == seed), trials["usable"]
    groups = (
        ("not usable", ~usable & ~picked, {"color": plots.GREY, "symbol": "circle-open", "size": 6}),
        ("usable", usable & ~picked, {"color": plots.BLUE, "symbol": "circle", "size": 6}),
        ("chosen", picked, {"color": plots.ORANGE, "symbol": "star", "size": 16}),
    )
    for row, (column, title) in enumerate(_PANELS.items(), start=1):
        for name, which, marker in groups:
            found = trials[which]
            trace = go.Scatter(
                x=found["k"],
                y=found[column],
                customdata=found[["seed", "validation_silhouette", "largest_cluster_share"]],
                hovertemplate="K=%{x} seed %{customdata[0]}<br>silhouette %{customdata[1]:.4f}"
                "<br>largest cluster %{customdata[2]:.1%}",
                mode="markers",
                marker=marker,
                name=name,
                legendgroup=name,
                showlegend=row == 1,
            )
            figure.add_trace(trace, row=row, col=1)
        figure.update_yaxes(title=title, row=row, col=1)
    figure.add_hline(guardrail, line={"color": plots.VERMILION, "dash": "dash"}, row=2, col=1)
    figure.update_yaxes(range=silhouette_range(trials), row=1, col=1)
    figure.update_yaxes(tickformat=".0%", row=2, col=1)
    figure.update_yaxes(type="log", row=3, col=1)
    figure.update_xaxes(title="K (clusters asked for)", row=len(_PANELS), col=1)
    title = "Every trial: point at one; double-click to see those beyond the axis"
    return figure.update_layout(template="plotly_white", height=860, title=title)
