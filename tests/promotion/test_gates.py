import pytest

from retail_clusters.clustering.metrics import Quality
from retail_clusters.promotion import gates
from retail_clusters.promotion.gates import Gate, Verdict
from retail_clusters.settings import Promotion
from tests import examples


def measured(silhouette: float = 0.5, sizes: tuple[int, ...] = (50, 50)) -> Quality:
    return examples.quality(silhouette=silhouette, sizes=sizes)


def failing(found: list[Gate]) -> list[str]:
    return [gate.name for gate in Verdict(tuple(found)).failing]


def test_absolute_gates_hold_whatever_the_space():
    settings = Promotion(min_test_silhouette=0.4, max_cluster_share=0.6, min_clusters=2)

    assert failing(gates.absolute_gates(measured(0.4, (60, 40)), settings=settings)) == []
    assert failing(gates.absolute_gates(measured(0.39, (100, 0)), settings=settings)) == [
        "test_silhouette",
        "largest_cluster_share",
        "clusters",
    ]


@pytest.mark.parametrize(
    ("silhouette", "same", "accepted", "verdicts"),
    [
        (0.45, True, False, ["passed", "passed"]),
        (0.44, True, False, ["FAILED", "passed"]),
        (0.44, True, True, ["FAILED", "passed"]),
        (0.10, False, False, ["not decided", "FAILED"]),
        (0.10, False, True, ["not decided", "passed"]),
    ],
)
def test_comparison_decides_in_one_space_and_a_person_in_another(
    silhouette: float, same: bool, accepted: bool, verdicts: list[str]
):
    found = gates.comparing_gates(
        measured(silhouette),
        champion=measured(0.5),
        same_space=same,
        settings=Promotion(margin=0.05, accept_new_space=accepted),
    )

    assert [gate.verdict for gate in found] == verdicts


def test_silhouettes_of_two_spaces_are_not_shown_side_by_side_and_a_silent_champion_decides_nothing():
    for champion, same_space in ((measured(0.2), False), (None, True)):
        found = gates.comparing_gates(
            measured(0.9), champion=champion, same_space=same_space, settings=Promotion()
        )
        not_worse = next(gate for gate in found if gate.name == "not_worse")
        assert not_worse.verdict == "not decided"
        assert "0." not in f"{not_worse.value} {not_worse.bound}"


@pytest.mark.parametrize(
    ("share", "least", "verdicts"),
    [(0.6, 0.5, ["passed"]), (0.4, 0.5, ["FAILED"]), (None, 0.5, ["FAILED"]), (0.0, 0.0, [])],
)
def test_clusters_must_be_stable_where_a_bound_asks_for_it(
    share: float | None, least: float, verdicts: list[str]
):
    found = gates.stability_gate(share, settings=Promotion(min_stable_line_share=least))

    assert [gate.verdict for gate in found] == verdicts


def test_refusing_gate_names_the_setting_under_which_the_metric_passes():
    low = measured(0.1234567, sizes=(98, 2))
    settings = Promotion(max_cluster_share=0.9)
    against = gates.comparing_gates(low, champion=measured(0.5), same_space=True, settings=settings)

    options = {gate.name: gate.overrule for gate in [*gates.absolute_gates(low, settings=settings), *against]}

    assert options["test_silhouette"] == "--set promotion.min_test_silhouette=0.1234"
    assert options["largest_cluster_share"] == "--set promotion.max_cluster_share=0.98"
    assert options["not_worse"] == "--set promotion.margin=0.3766"
    assert options["feature_space"] == "--accept-new-space true"
    moved = Promotion(min_test_silhouette=0.1234, max_cluster_share=0.98, margin=0.3766)
    passing = gates.absolute_gates(low, settings=moved)
    passing += gates.comparing_gates(low, champion=measured(0.5), same_space=True, settings=moved)
    assert failing(passing) == []


def test_verdict_is_a_table_with_a_line_for_each_gate():
    verdict = Verdict((Gate("one", "1", "at most 2", True), Gate("another", "30", "at most 2", False)))

    assert verdict.to_text().splitlines() == [
        "gate     value    bound      verdict",
        "one      1        at most 2  passed",
        "another  30       at most 2  FAILED",
    ]
    assert verdict.table()["verdict"].tolist() == ["passed", "FAILED"]
    assert not verdict.passed
    assert str(verdict.failing[0]) == "another is 30, but must be at most 2"
