import pytest

from retail_clusters.errors import RegistryError
from retail_clusters.serving.alias import Follower, Pause


class Registry:
    """An alias, the versions that load, a clock, and a model that follows the alias."""

    def __init__(self) -> None:
        self.alias: str | None = "1"
        self.broken: set[str] = set()
        self.answers = True
        self.now = 0.0
        self.told: list[str] = []
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

    def follow(self) -> Follower[str]:
        model = Follower(
            "champion",
            look_up=self.look_up,
            load=self.load,
            warn=self.told.append,
            note=self.told.append,
            pause=Pause(clock=lambda: self.now),
        )
        model.require()
        return model


def test_the_model_is_that_of_the_version_that_the_alias_names_at_each_poll() -> None:
    registry = Registry()
    model = registry.follow()
    registry.alias = "2"
    assert model.require() == "model 1"
    for _ in range(2):
        model.poll()
    assert (model.version, model.require(), registry.loads) == ("2", "model 2", 2)


def test_the_old_model_goes_on_when_the_new_one_is_broken_and_it_is_tried_again_later() -> None:
    registry = Registry()
    model = registry.follow()
    registry.alias, registry.broken = "2", {"2"}
    model.poll()
    registry.now = 9.0
    model.poll()
    assert (model.require(), registry.loads) == ("model 1", 2)
    assert registry.told == ["version 2 is broken; version 1 goes on"]
    registry.now, registry.broken = 10.0, set()
    model.poll()
    assert model.require() == "model 2"


def test_another_version_is_tried_after_a_broken_one_and_each_trouble_is_told_once() -> None:
    registry = Registry()
    model = registry.follow()
    registry.broken = {"2"}
    for registry.alias in ("2", "2", "1", "2", "3"):
        model.poll()
        registry.now += 10
    assert model.version == "3"
    broken = "version 2 is broken; version 1 goes on"
    assert registry.told == [broken, broken, "version 3 scores from the next batch on"]


def test_an_outage_is_told_once_and_asked_about_seldom() -> None:
    registry = Registry()
    model = registry.follow()
    registry.answers = False
    asked = 0
    for second in range(200):
        registry.now = float(second)
        asked += model.pause.over
        model.poll()
    assert asked == 20
    registry.answers, registry.alias, registry.now = True, "2", 300.0
    model.poll()
    assert registry.told == [
        "the registry must answer for champion, but it is away; version 1 goes on",
        "version 2 scores from the next batch on",
    ]


def test_an_alias_that_is_taken_away_is_told_once() -> None:
    registry = Registry()
    model = registry.follow()
    for registry.alias in (None, None, "1"):
        model.poll()
        registry.now += 10
    assert model.require() == "model 1"
    assert registry.told == ["alias 'champion' names no version any more; version 1 goes on"]


def test_there_must_be_a_model_to_start_with() -> None:
    registry = Registry()
    registry.alias = None
    with pytest.raises(RegistryError, match="'champion' names none: promote one first"):
        registry.follow()
