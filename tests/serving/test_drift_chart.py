"""The figure of drift, by what is in its axes."""

from retail_clusters.serving.charts import drift_chart


def test_drift_is_drawn_for_each_thing_with_the_bound_that_warns():
    points = {3: {"drift_psi": 0.3, "drift/price": 0.3, "drift/weekday": 0.1}, 4: {"drift/price": 0.2}}
    figure = drift_chart(points, warning=0.25)
    assert figure is not None
    lines = {line.get_label(): list(line.get_ydata()) for line in figure.axes[0].lines}
    assert lines == {"no warning below 0.25": [0.25, 0.25], "price": [0.3, 0.2], "weekday": [0.1]}
    assert figure.axes[0].get_xlim() == (2.5, 4.5)


def test_nothing_is_drawn_where_nothing_is_watched():
    assert drift_chart({0: {"rows_in": 5.0}}, warning=0.25) is None
