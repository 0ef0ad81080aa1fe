"""One style for every figure."""

import pytest

from retail_clusters.report import plots


def test_page_of_plotly_figures_holds_its_script_once_and_asks_no_network():
    import plotly.graph_objects as go

    page = plots.to_page("two", [go.Figure(), go.Figure()])
    assert page.count("plotly.js v") == 1
    assert "cdn.plot.ly" not in page.replace("https://cdn.plot.ly/un/", "")
    assert "<script src=" not in page


def test_title_of_a_page_cannot_be_taken_for_html():
    assert "<b>" not in plots.to_page("<b>", [])


def test_colours_for_series_are_different_and_each_has_a_mark():
    assert len(set(plots.SERIES)) == len(plots.SERIES) == len(set(plots.MARKERS))


def test_figure_becomes_a_png_of_100_pixels_an_inch():
    figure, _ = plots.figure("a figure", size=(3, 2))
    png = plots.to_png(figure)
    assert png.startswith(b"\x89PNG")
    assert (int.from_bytes(png[16:20]), int.from_bytes(png[20:24])) == (300, 200)


def test_figures_drawn_meanwhile_are_those_drawn_at_once():
    with plots.drawing() as draw:
        drawn = [draw(lambda title=title: plots.figure(title)[0]) for title in ("one", "two")]
    assert [each.result() for each in drawn] == [
        plots.to_png(plots.figure(title)[0]) for title in ("one", "two")
    ]


def test_what_goes_wrong_in_drawing_is_told_to_who_asks_for_the_picture():
    def broken():
        raise ValueError("nothing to draw")

    with plots.drawing() as draw:
        drawn = draw(broken)
    with pytest.raises(ValueError, match="nothing to draw"):
        drawn.result()
