"""Jobs of bundles that have groups of their own: where they wait, and who gets them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from jobs.job import DEFAULT_GROUP, Job, bundle_group
from jobs.redis_store import JobStore
from jobs.store import ClaimRequest, NewJob
from tests.moves import a_job, begun, claimed, claimed_one, died, queued, release

BIRDS, ALL = (bundle_group("birds"),), (DEFAULT_GROUP,)


def of(store: JobStore, bundle: str, **values: object) -> Job:
    return queued(store, request={"text": "a bird", "bundle": bundle}, **values)


def taken(store: JobStore, groups: Sequence[str]) -> list[str]:
    """Claimed by a worker of these groups."""
    wanted = ClaimRequest(jobs=100, pictures=100, groups=groups)
    return [c.job.id for c in claimed(store, wanted=wanted)]


def test_a_placed_bundles_jobs_are_not_among_the_others(store: JobStore) -> None:
    assert store.place_bundles() == set()
    assert store.place_bundles(["birds"]) == store.place_bundles() == {"birds"}
    birds, others = of(store, "birds"), of(store, "flowers")
    assert taken(store, ALL) == [others.id]
    assert not store.has_claimable(ALL)
    assert store.has_claimable(BIRDS)
    assert taken(store, BIRDS) == [birds.id]


def test_what_a_text_says_places_no_job(store: JobStore) -> None:
    store.place_bundles(["birds"])
    text = {"text": '","bundle":"birds","', "bundle": "flowers"}
    job = queued(store, request=text)
    assert taken(store, BIRDS) == []
    assert taken(store, ALL) == [job.id]


def test_what_waited_before_moves(store: JobStore) -> None:
    """Also what was claimed, put off or waits alone meanwhile."""
    jobs = {name: of(store, "birds") for name in ("claimed", "delayed", "dead", "waiting")}
    other = of(store, "flowers")
    died(store, jobs["dead"].id)
    token = claimed_one(store, jobs["claimed"].id)
    later = claimed_one(store, jobs["delayed"].id)
    assert store.release_all([(jobs["delayed"].id, later)], 1000.0, "hand_backs") == [True]
    store.place_bundles(["birds"])
    store.rebuild_sets()
    assert release(store, jobs["claimed"].id, token)
    store.rebuild_sets()  # again, which changes nothing
    assert taken(store, ALL) == [other.id]
    assert set(taken(store, BIRDS)) == {jobs[n].id for n in ("claimed", "delayed", "waiting")}
    assert not store.acquire_suspect_lock("w", 10, ALL)
    assert store.acquire_suspect_lock("w", 10, BIRDS)
    suspect = store.claim_suspect("c", "w", 10, 10, BIRDS)
    assert suspect is not None
    assert suspect.job.id == jobs["dead"].id
    assert store.load().waiting == 0


def test_suspects_wait_for_workers_of_their_group(store: JobStore) -> None:
    store.place_bundles(["birds"])
    wanted = ClaimRequest(jobs=100, pictures=100, groups=(*BIRDS, *ALL))
    birds, other = of(store, "birds"), of(store, "flowers")
    for job in (birds, other):
        begun(store, job.id, 0.01, wanted)
        time.sleep(0.03)
        assert store.requeue(job.id, 20)
    assert store.acquire_suspect_lock("w", 10, ALL)
    suspect = store.claim_suspect("c", "w", 10, 10, ALL)
    assert suspect is not None
    assert suspect.job.id == other.id  # although the other one waits for longer
    assert store.claim_suspect("d", "w", 10, 10, ALL) is None


def test_no_number_of_suspects_of_other_groups_hides_one(store: JobStore) -> None:
    store.place_bundles(["birds"])
    wanted = ClaimRequest(jobs=1000, pictures=1000, groups=(*BIRDS, *ALL))
    for n, bundle in ((250, "birds"), (1, "flowers")):
        for _ in range(n):
            last = of(store, bundle)
        held = [(c.job.id, c.token) for c in claimed(store, 0.01, wanted)]
        assert None not in store.begin_all(held)
        time.sleep(0.03)
        assert all(store.requeue(job_id, 20) for job_id, _ in held)
    assert store.acquire_suspect_lock("w", 10, ALL)
    suspect = store.claim_suspect("c", "w", 10, 10, ALL)
    assert suspect is not None
    assert suspect.job.id == last.id


def test_every_worker_is_woken_for_a_placed_bundle(store: JobStore) -> None:
    """Any of them may be the only one that serves it."""
    for name in ("a", "b", "c"):
        store.heartbeat(name, {}, 10)

    def wakeups(bundle: str) -> int:
        job = a_job(request={"text": "a bird", "bundle": bundle})
        return store.create_all([NewJob(job)]).wakeups

    store.place_bundles(["birds"])
    assert wakeups("birds") == 3
    assert wakeups("birds") == 0  # they are on their way
