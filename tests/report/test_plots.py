import pytest

from retail_clusters.report import plots


def test_each_series_has_a_colour_and_a_mark_of_its_own():
    assert len(set(plots.SERIES)) == len(plots.SERIES) == len(set(plots.MARKERS))


def test_charts_drawn_meanwhile_are_pngs_of_100_pixels_an_inch_like_those_drawn_at_once():
    with plots.drawing() as draw:
        drawn = [draw(lambda title=title: plots.figure(title, size=(3, 2))[0]) for title in ("one", "two")]
    assert [each.result() for each in drawn] == [
        plots.to_png(plots.figure(title, size=(3, 2))[0]) for title in ("one", "two")
    ]
    png = drawn[0].result()
    assert png.startswith(b"\x89PNG")
    assert (int.from_bytes(png[16:20]), int.from_bytes(png[20:24])) == (300, 200)


def test_error_of_drawing_is_raised_where_the_chart_is_asked_for():
    def broken():
        raise ValueError("nothing to draw")

    with plots.drawing() as draw:
        drawn = draw(broken)
    with pytest.raises(ValueError, match="nothing to draw"):
        drawn.result()
