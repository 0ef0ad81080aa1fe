"""MLflow's tracking store: where runs go, how they live, what they are told, what they hold."""

from retail_clusters.infra.tracking.attempts import try_describe, try_end_run, try_log_figure, try_log_points
from retail_clusters.infra.tracking.children import ChildRun, ChildRuns
from retail_clusters.infra.tracking.kinds import Kind, kind_tag
from retail_clusters.infra.tracking.machine import system_metrics
from retail_clusters.infra.tracking.reading import (
    Run,
    active_run,
    can_resume,
    children,
    figures_of,
    is_finished,
    read_run,
    read_table,
    settings_of,
)
from retail_clusters.infra.tracking.records import (
    DataSet,
    accepts_settings,
    describe,
    log_comparable_table,
    log_figure,
    log_input,
    log_metrics,
    log_settings,
    log_table,
    log_text,
    set_tags,
)
from retail_clusters.infra.tracking.runs import detached_run, is_active, run, separate_run
from retail_clusters.infra.tracking.store import (
    answered,
    connect,
    connect_to_read,
    open_experiment,
    short_timeouts,
    sqlite_file,
    store_uri,
)

__all__ = [
    "ChildRun",
    "ChildRuns",
    "DataSet",
    "Kind",
    "Run",
    "accepts_settings",
    "active_run",
    "answered",
    "can_resume",
    "children",
    "connect",
    "connect_to_read",
    "describe",
    "detached_run",
    "figures_of",
    "is_active",
    "is_finished",
    "kind_tag",
    "log_comparable_table",
    "log_figure",
    "log_input",
    "log_metrics",
    "log_settings",
    "log_table",
    "log_text",
    "open_experiment",
    "read_run",
    "read_table",
    "run",
    "separate_run",
    "set_tags",
    "settings_of",
    "short_timeouts",
    "sqlite_file",
    "store_uri",
    "system_metrics",
    "try_describe",
    "try_end_run",
    "try_log_figure",
    "try_log_points",
]
