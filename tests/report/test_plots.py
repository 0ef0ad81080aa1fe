from retail_clusters.report import plots


def test_each_series_has_a_colour_and_a_mark_of_its_own():
    assert len(set(plots.SERIES)) == len(plots.SERIES) == len(set(plots.MARKERS))


def test_charts_are_pngs_of_100_pixels_an_inch_under_their_names():
    pngs = plots.to_pngs({title: plots.figure(title, size=(3, 2))[0] for title in ("one", "two")})
    assert list(pngs) == ["one", "two"]
    png = pngs["one"]
    assert png.startswith(b"\x89PNG")
    assert (int.from_bytes(png[16:20]), int.from_bytes(png[20:24])) == (300, 200)
