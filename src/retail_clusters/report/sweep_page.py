"""A sweep as one page to look into: every trial under the pointer, and Optuna's own charts of the study."""

import optuna
import pandas as pd
import plotly.graph_objects as go
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.visualization import plot_optimization_history, plot_param_importances
from plotly.subplots import make_subplots

from retail_clusters.report import plots

_PANELS = {
    "validation_silhouette": "silhouette",
    "largest_cluster_share": "largest cluster",
    "train_cost": "training cost (WSSSE)",
}


def sweep_page(
    study: optuna.Study, trials: pd.DataFrame, *, chosen: tuple[int, int] | None, guardrail: float
) -> str:
    """Draw the trials against K, the history of the study, and the importance of K and seed, as HTML."""
    figures = [trials_figure(trials, chosen=chosen, guardrail=guardrail), _history(study, trials)]
    if len({trial.value for trial in study.get_trials(deepcopy=False)} - {None}) > 1:
        figures.append(_importances(study))
    return plots.to_page(f"Sweep {study.study_name}", figures)


def _history(study: optuna.Study, trials: pd.DataFrame) -> go.Figure:
    """Draw the trials in their order; the axis is that of the usable ones."""
    figure = plot_optimization_history(study, target_name="silhouette")
    figure.update_traces(marker={"color": plots.BLUE}, selector={"name": "silhouette"})
    figure.update_traces(line={"color": plots.ORANGE}, selector={"name": "Best Value"})
    figure.update_yaxes(range=_usable_range(trials))
    figure.update_layout(template="plotly_white", title="The search in its order, and the best so far")
    return figure


def _importances(study: optuna.Study) -> go.Figure:
    figure = plot_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    figure.update_traces(marker={"color": plots.BLUE})
    figure.update_xaxes(title="share of what sets good trials apart (PED-ANOVA)")
    figure.update_yaxes(title="")
    figure.update_layout(template="plotly_white", title="Does K decide, or the seed?", height=320)
    return figure


def trials_figure(trials: pd.DataFrame, *, chosen: tuple[int, int] | None, guardrail: float) -> go.Figure:
    """Draw silhouette, largest share and cost of every trial against K, one above another."""
    figure = make_subplots(rows=len(_PANELS), shared_xaxes=True, vertical_spacing=0.04)
    k, seed = chosen or (-1, -1)
    picked = (trials["k"] == k) & (trials["seed"] == seed)
    groups = (
        (
            "not usable",
            ~trials["usable"] & ~picked,
            {"color": plots.GREY, "symbol": "circle-open", "size": 6},
        ),
        ("usable", trials["usable"] & ~picked, {"color": plots.BLUE, "symbol": "circle", "size": 6}),
        ("chosen", picked, {"color": plots.ORANGE, "symbol": "star", "size": 16}),
    )
    for row, (column, title) in enumerate(_PANELS.items(), start=1):
        for name, which, marker in groups:
            found = trials[which]
            figure.add_trace(
                go.Scatter(
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
                ),
                row=row,
                col=1,
            )
        figure.update_yaxes(title=title, row=row, col=1)
    figure.add_hline(guardrail, line={"color": plots.VERMILION, "dash": "dash"}, row=2, col=1)
    figure.update_yaxes(tickformat=".0%", row=2, col=1)
    figure.update_yaxes(type="log", row=3, col=1)
    figure.update_yaxes(range=_usable_range(trials), row=1, col=1)
    figure.update_xaxes(title="K (clusters asked for)", row=len(_PANELS), col=1)
    title = "Every trial: point at one; double-click to see those beyond the axis"
    figure.update_layout(template="plotly_white", height=860, title=title)
    return figure


def _usable_range(trials: pd.DataFrame) -> list[float] | None:
    """Return the bounds of an axis of silhouettes; None, so that it finds its own, where none is usable."""
    usable = trials.loc[trials["usable"], "validation_silhouette"]
    margin = (usable.max() - usable.min() or 0.1) * 0.12
    return [usable.min() - margin, usable.max() + margin] if len(usable) else None
