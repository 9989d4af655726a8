"""Which faults are tried, how often, and on what."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.families import FAMILIES
from tests.chaos.faults import Family, Fault, Finding, Tally
from tests.chaos.runner import run_all, selected


class Shop:
    """Services that were opened, by number."""

    def __init__(self) -> None:
        self.opened, self.open = 0, 0

    @contextmanager
    def __call__(self, folder: Path, quick: bool) -> Iterator[int]:
        assert folder.is_dir()
        self.opened += 1
        self.open += 1
        yield self.opened
        self.open -= 1


def test_trials_share_a_service_until_one_fails() -> None:
    seen: list[int] = []

    def trial(service: int) -> Finding:
        seen.append(service)
        return Finding(lost=len(seen) == 2)

    shop = Shop()
    family = Family("f", shop, [Fault("a", "", trial, runs=4, quick_runs=1)])
    kept: list[Tally] = []
    [full] = run_all([family], quick=False, runs=0, lanes=2, done=kept.extend)
    assert kept == [full]
    assert seen == [1, 1, 2, 2]
    assert (len(full.findings), full.lost, shop.open) == (4, 1, 0)
    [quick] = run_all([family], quick=True, runs=0, lanes=1)
    assert (len(quick.findings), quick.ok) == (1, True)


def test_a_trial_that_raises_is_a_fault_that_does_not_hold() -> None:
    def trial(_: int) -> Finding:
        raise RuntimeError("out of ideas")

    faults = [Fault("a", "", trial), Fault("b", "", lambda _: Finding())]
    first, second = run_all([Family("f", Shop(), faults)], quick=True, runs=2, lanes=1)
    assert first.broken == ["RuntimeError: out of ideas"]
    assert second.ok


def test_a_service_that_does_not_start_is_told() -> None:
    @contextmanager
    def refusing(folder: Path, quick: bool) -> Iterator[int]:
        if quick:
            raise PermissionError("no right to mount")
        yield 0

    family = Family("f", refusing, [Fault("a", "", lambda _: Finding())])
    [tally] = run_all([family], quick=True, runs=0, lanes=1)
    assert not tally.ok
    assert tally.broken == ["it could not be tried: no right to mount"]


def test_faults_are_chosen_by_parts_of_their_names() -> None:
    assert selected(FAMILIES, []) == list(FAMILIES)
    chosen = selected(FAMILIES, ["after finish", "STORAGE"])
    names = [fault.name for family in chosen for fault in family.faults]
    assert names[0] == "kill -9 worker: after finish"
    assert "disk full" in names
    assert len(names) == 4
    assert selected(FAMILIES, ["nothing of the kind"]) == []


def test_names_are_unique() -> None:
    names = [fault.name for family in FAMILIES for fault in family.faults]
    assert len(set(names)) == len(names)
