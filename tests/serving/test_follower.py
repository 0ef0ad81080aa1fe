import pytest

from retail_clusters.errors import RegistryError
from retail_clusters.serving.follower import Backoff, HotModel


class Registry:
    """An alias, the versions that load, and a clock."""

    def __init__(self) -> None:
        self.alias: str | None = "1"
        self.broken: set[str] = set()
        self.answers = True
        self.now = 0.0
        self.warnings: list[str] = []
        self.loads = 0

    def look_up(self, alias: str) -> str | None:
        if not self.answers:
            raise RegistryError(f"the registry must answer for {alias}, but it is away")
        return self.alias

    def load(self, version: str) -> str:
        self.loads += 1
        if version in self.broken:
            raise RegistryError(f"version {version} is broken")
        return f"model {version}"

    def follow(self) -> HotModel[str]:
        return HotModel(
            "champion",
            look_up=self.look_up,
            load=self.load,
            warn=self.warnings.append,
            asking=Backoff(clock=lambda: self.now),
            loading=Backoff(clock=lambda: self.now),
        )


def test_a_new_version_is_taken_once() -> None:
    registry = Registry()
    model = registry.follow()
    model.required()
    assert not model.refresh()
    registry.alias = "2"
    assert model.refresh()
    assert not model.refresh()
    assert (model.version, model.current, registry.loads) == ("2", "model 2", 2)


def test_the_old_model_goes_on_when_the_new_one_is_broken_and_it_is_tried_again_later() -> None:
    registry = Registry()
    model = registry.follow()
    model.required()
    registry.alias, registry.broken = "2", {"2"}
    assert not model.refresh()
    assert model.current == "model 1"
    assert "version 1 goes on" in registry.warnings[0]
    assert not model.refresh()
    assert registry.loads == 2
    registry.now, registry.broken = 1.0, set()
    assert model.refresh()
    assert model.current == "model 2"


def test_another_version_is_tried_at_once_after_a_broken_one() -> None:
    registry = Registry()
    model = registry.follow()
    model.required()
    registry.alias, registry.broken = "2", {"2"}
    model.refresh()
    registry.alias = "3"
    assert model.refresh()
    assert model.version == "3"


def test_a_registry_that_does_not_answer_is_asked_less_and_less_often() -> None:
    registry = Registry()
    model = registry.follow()
    model.required()
    registry.answers = False
    for second in range(200):
        registry.now = float(second)
        model.refresh()
    assert model.current == "model 1"
    assert 8 <= len(registry.warnings) <= 12
    registry.answers, registry.alias, registry.now = True, "2", 300.0
    assert model.refresh()


def test_an_alias_that_is_taken_away_changes_nothing() -> None:
    registry = Registry()
    model = registry.follow()
    model.required()
    registry.alias = None
    assert not model.refresh()
    assert model.current == "model 1"


def test_there_must_be_a_model_to_start_with() -> None:
    registry = Registry()
    registry.alias = None
    with pytest.raises(RegistryError, match="'champion' names none: promote one first"):
        registry.follow().required()
    with pytest.raises(RegistryError, match="there is none for 'champion'"):
        _ = registry.follow().current
