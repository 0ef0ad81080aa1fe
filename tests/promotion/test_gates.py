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
        (0.10, False, False, ["FAILED"]),
        (0.10, False, True, ["passed"]),
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


def test_a_champion_that_cannot_score_the_records_decides_nothing():
    found = gates.comparing_gates(measured(0.9), champion=None, same_space=True, settings=Promotion())
    assert [gate.name for gate in found] == ["feature_space"]


@pytest.mark.parametrize(
    ("share", "least", "verdicts"),
    [(0.6, 0.5, ["passed"]), (0.4, 0.5, ["FAILED"]), (None, 0.5, ["FAILED"]), (0.0, 0.0, [])],
)
def test_clusters_must_be_stable_where_a_bound_asks_for_it(
    share: float | None, least: float, verdicts: list[str]
):
    found = gates.stability_gate(share, settings=Promotion(min_stable_line_share=least))

    assert [gate.verdict for gate in found] == verdicts


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
