"""Optuna's own charts of a study, as one page that needs no network."""

import optuna
import plotly.io
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.visualization import plot_optimization_history, plot_param_importances


def study_html(study: optuna.Study) -> str:
    """Draw the history of a study and the importance of K and seed for the silhouette, as HTML."""
    figures = [plot_optimization_history(study)]
    if len({trial.value for trial in study.get_trials(deepcopy=False)} - {None}) > 1:
        figures.append(plot_param_importances(study, evaluator=PedAnovaImportanceEvaluator()))
    parts = [
        plotly.io.to_html(figure, full_html=False, include_plotlyjs=position == 0)
        for position, figure in enumerate(figures)
    ]
    head = f"<!doctype html><meta charset='utf-8'><title>{study.study_name}</title>"
    return head + "\n".join(parts)
