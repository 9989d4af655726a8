"""The blocking client against a gateway of this process."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from PIL import Image, ImageChops, ImageSequence

from app.gateway.services import Services
from app.webhooks.signing import signature_headers
from jobs.ai_mark import ai_mark, read_mark
from jobs.images import encode, encode_frames
from jobs.job import ErrorCode, Failure
from jobs.store import JobOutcome
from mmml import (
    BadSignature,
    Client,
    JobFailed,
    MmmlError,
    Refused,
    StillRunning,
    Unreachable,
    verify_webhook,
)
from tests.app.conftest import mask_png, png, stored_photo, succeed
from tests.client.conftest import Through
from tests.moves import begun, finish, finished

Work = Callable[..., None]


def test_synthesize_wait_and_save(mmml: Client, work: Work, tmp_path: Path) -> None:
    work(2)
    job = mmml.synthesize("a zorgly bird", seed=3, count=2)
    assert (job.status, job.over, job.seed) == ("queued", False, 3)
    assert job.wait() is job
    assert job.over
    assert [image.size for image in job.images] == [(20, 20), (20, 20)]
    assert job.warnings == ["Unknown words were left out: zorgly."]
    paths = job.save(tmp_path / "bird.png")
    assert [p.name for p in paths] == ["bird.png", "bird-1.png"]
    assert [p.read_bytes() for p in paths] == job.pictures


def test_saving_waits_and_changes_the_format(mmml: Client, work: Work, tmp_path: Path) -> None:
    work()
    [path] = mmml.synthesize("a bird").save(tmp_path / "bird.jpg")
    with Image.open(path) as picture:
        assert picture.format == "JPEG"


FRAMES = [Image.new("RGB", (20, 20), colour) for colour in ("red", "green", "blue")]


@pytest.mark.parametrize("made_as", ["gif", "webp"])
@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".jpg"])
def test_no_frame_of_an_animation_is_lost_by_saving(
    mmml: Client, services: Services, tmp_path: Path, made_as: str, suffix: str
) -> None:
    job = mmml.synthesize(["a red bird", "a blue bird"], frames=3, format=made_as)
    data, _ = encode_frames(FRAMES, made_as, ai_mark("synthesize"))
    succeed(services, job.id, files=[(made_as, data, len(FRAMES))])
    [path] = job.save(tmp_path / f"morph{suffix}")
    with Image.open(path) as saved:
        if suffix in (".gif", ".webp"):
            frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(saved)]
            assert saved.info["loop"] == 0
        else:  # a strip from left to right, as the service draws it
            assert (saved.size, getattr(saved, "n_frames", 1)) == ((60, 20), 1)
            frames = [saved.convert("RGB").crop((x, 0, x + 20, 20)) for x in (0, 20, 40)]
        assert len(frames) == len(FRAMES)
        for frame, drawn in zip(frames, FRAMES, strict=True):
            difference = ImageChops.difference(
                frame.crop((5, 5, 15, 15)), drawn.crop((5, 5, 15, 15))
            )
            assert max(high for _, high in difference.getextrema()) < 12
        assert bool(read_mark(saved)) == (made_as != "gif" and suffix != ".gif")


def test_a_converted_animation_keeps_its_pace(
    mmml: Client, services: Services, tmp_path: Path
) -> None:
    job = mmml.synthesize(["a red bird", "a blue bird"], frames=3)
    data, _ = encode_frames(FRAMES, "webp")
    succeed(services, job.id, files=[("webp", data, len(FRAMES))])
    [path] = job.save(tmp_path / "morph.gif")
    with Image.open(path) as saved:
        paces = [frame.info["duration"] for frame in ImageSequence.Iterator(saved)]
    assert paces == [800, 80, 800]


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_a_converted_image_still_says_that_it_was_generated(
    mmml: Client, services: Services, tmp_path: Path, suffix: str
) -> None:
    job = mmml.synthesize("a bird")
    mark = ai_mark("synthesize")
    succeed(services, job.id, files=[("png", encode(FRAMES[0], "png", mark), 1)])
    [path] = job.save(tmp_path / f"bird{suffix}")
    with Image.open(path) as saved:
        assert read_mark(saved) == mark


def test_pictures_need_an_end(mmml: Client) -> None:
    job = mmml.synthesize("a bird")
    with pytest.raises(MmmlError, match=r"is queued as far as is known: wait\(\)"):
        _ = job.images


def test_pictures_of_every_kind(
    mmml: Client, services: Services, work: Work, tmp_path: Path
) -> None:
    (tmp_path / "photo.png").write_bytes(png())
    work()
    first = mmml.manipulate(tmp_path / "photo.png", "a red bird").wait()
    work()
    address = first.record["images"][0]["url"]
    assert mmml.inpaint(address, (2, 2, 5, 5), "a red bird").wait().images
    work()
    assert mmml.inpaint(png(), mask_png(), "a red bird").wait().images
    photo, mask = Image.open(io.BytesIO(png())), Image.open(io.BytesIO(mask_png()))
    job = mmml.inpaint(photo, mask.convert("1"), "a red bird")
    assert stored_photo(services, job.id).tobytes() == photo.tobytes()
    assert stored_photo(services, job.id, "mask").convert("L").tobytes() == mask.tobytes()


def test_options_reach_the_service(mmml: Client) -> None:
    job = mmml.submit(
        "inpaint",
        "a red bird",
        {"image": png(), "mask": "2,2,5,5"},
        count=3,
        method="telea",
        format="webp",
        bundle=None,
    )
    given = job.record["input"]
    assert (given["count"], given["method"], given["format"]) == (3, "telea", "webp")


def test_an_idempotency_key_of_ones_own(mmml: Client) -> None:
    first = mmml.synthesize("a bird", seed=1, idempotency_key="order-1")
    assert mmml.synthesize("a bird", seed=1, idempotency_key="order-1").id == first.id


def test_refusals_are_the_services_sentences(mmml: Client) -> None:
    with pytest.raises(Refused, match="knows no word") as caught:
        mmml.synthesize("qwertz")
    assert (caught.value.status, caught.value.code) == (422, "no_known_words")
    with pytest.raises(Refused) as caught:
        mmml.synthesize("a bird", count=99)
    assert caught.value.problem
    assert caught.value.problem["errors"][0]["field"] == "count"


def test_jobs_that_fail(mmml: Client, services: Services) -> None:
    job = mmml.synthesize("a bird")
    job.cancel()
    with pytest.raises(JobFailed, match="canceled") as caught:
        job.wait()
    assert caught.value.code == "canceled"
    job = mmml.synthesize("a bird")
    broken = Failure(code=ErrorCode.model_error, detail="The model failed.")
    finished(services.store, job.id, JobOutcome(error=broken))
    with pytest.raises(JobFailed, match="The model failed") as caught:
        job.wait()
    assert (caught.value.code, job.status) == ("model_error", "failed")


def test_waiting_times_out(mmml: Client) -> None:
    job = mmml.synthesize("a bird")
    statuses: list[str] = []
    with pytest.raises(StillRunning, match="still queued"):
        job.wait(on_change=lambda record: statuses.append(record["status"]), timeout=0.05)
    assert set(statuses) == {"queued"}


def test_an_earlier_job(mmml: Client, services: Services) -> None:
    job = mmml.job(mmml.synthesize("a bird", seed=4).id)
    succeed(services, job.id)
    assert job.status == "queued"
    assert job.refresh().status == "succeeded"
    assert job.wait(fetch=False).over
    assert len(job.wait().images) == 1


def test_listing(mmml: Client) -> None:
    ids = [mmml.synthesize("a bird").id for _ in range(3)]
    assert [j["id"] for j in mmml.jobs(2)] == ids[:0:-1]
    assert mmml.models()["defaults"]["synthesize"] == "paper"


def test_listing_over_pages_and_of_one_kind(mmml: Client) -> None:
    ids = [mmml.synthesize("a bird").id for _ in range(130)]
    mmml.cancel(ids[0])
    assert [j["id"] for j in mmml.jobs(1000)] == ids[::-1]
    assert [j["id"] for j in mmml.jobs(120)] == ids[:9:-1]
    assert [j["id"] for j in mmml.jobs(5, status="canceled", task="synthesize")] == ids[:1]
    assert mmml.jobs(5, task="inpaint") == []


def test_delete(mmml: Client) -> None:
    job = mmml.synthesize("a bird")
    job.delete()
    with pytest.raises(Refused, match="deleted") as caught:
        job.wait()
    assert caught.value.status == 410


def test_events_to_the_end(mmml: Client, services: Services, later: Callable[..., object]) -> None:
    job = mmml.synthesize("a bird")
    later(0.5, succeed, services, job.id)
    events = list(job.events())
    assert events[0].kind == "status"
    assert events[-1].kind == "final"
    assert job.status == "succeeded"
    with pytest.raises(Refused, match="no such job"):
        list(mmml.events("0" * 32))


class Breaking(Through):
    """Breaks off event streams after the second event, and loses the answers of submissions."""

    def __init__(self, client: TestClient, losses: int) -> None:
        super().__init__(client)
        self.losses = losses
        self.resumed_from: list[str | None] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        if request.method == "POST" and self.losses:
            self.losses -= 1
            raise httpx.ReadError("connection reset", request=request)
        if request.url.path.endswith("/events"):
            self.resumed_from.append(request.headers.get("last-event-id"))
            blocks = answer.content.split(b"\n\n")
            part = b"\n\n".join([*blocks[:3], b""])
            return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=part)
        return answer


def test_broken_streams_are_taken_up_where_they_were(
    client: TestClient, services: Services
) -> None:
    transport = Breaking(client, 0)
    mmml = Client(transport=transport)
    job = mmml.synthesize("a bird")
    token = begun(services.store, job.id)
    services.store.record_progress(job.id, token, 1, 3)
    services.store.record_progress(job.id, token, 2, 3)
    finish(services.store, job.id, token)
    events = list(job.events())
    assert [e.kind for e in events] == ["status", "status", "progress", "progress", "final"]
    assert transport.resumed_from == [None, events[1].id, events[3].id]


def test_a_lost_answer_makes_no_second_job(client: TestClient) -> None:
    mmml = Client(transport=Breaking(client, 2))
    job = mmml.synthesize("a bird")
    assert [j["id"] for j in mmml.jobs()] == [job.id]
    with pytest.raises(Unreachable, match="connection reset"):
        Client(transport=Breaking(client, 3)).synthesize("a bird")


def test_the_secret_verifies_messages(mmml: Client) -> None:
    secret = mmml.webhook_secret()
    verify_webhook(secret, signature_headers([secret], "msg_1", time.time(), b"{}"), b"{}")
    with pytest.raises(BadSignature):
        verify_webhook(secret, signature_headers([secret], "msg_1", time.time(), b"{}"), b"{ }")


def test_no_service_is_a_sentence() -> None:
    with pytest.raises(Unreachable, match="mmml serve"):
        Client("http://127.0.0.1:9").synthesize("a bird")


def test_an_argument_under_its_earlier_name() -> None:
    with pytest.warns(DeprecationWarning, match="retry_for"):
        client = Client("http://127.0.0.1:9", patience=0.0)
    with pytest.raises(Unreachable):
        client.job("1")
    with pytest.raises(TypeError, match="no argument patients"):
        Client(patients=1.0)


def test_a_batch_as_one_file(mmml: Client, services: Services, tmp_path: Path) -> None:
    batch = mmml.create_batch()
    jobs = [mmml.synthesize("a bird", batch=batch) for _ in range(2)]
    for job in jobs:
        succeed(services, job.id)
    assert mmml.batch(batch)["succeeded"] == 2
    mmml.save_batch(batch, tmp_path / "birds.zip")
    with zipfile.ZipFile(tmp_path / "birds.zip") as archive:
        names = archive.namelist()
        manifest = json.loads(archive.read("manifest.json"))
        assert archive.read(names[0]) == jobs[0].wait().pictures[0]
    assert [job["id"] for job in manifest] == [job.id for job in jobs]
    assert [path.name for path in tmp_path.glob("birds*")] == ["birds.zip"]
    kinds = [event.kind for event in mmml.events(batch)]
    assert kinds == ["status", "job", "job", "status", "final"]
    with pytest.raises(Refused, match="Create another batch"):
        mmml.synthesize("a bird", batch=batch)
    mmml.delete(batch)
    with pytest.raises(Refused, match="no such batch"):
        mmml.batch(batch)


def test_a_batch_that_is_gone_leaves_no_file(mmml: Client, tmp_path: Path) -> None:
    batch = mmml.create_batch(webhook="https://example.com/hook")
    assert mmml.batch(batch)["webhook"]["state"] == "waiting"
    mmml.delete(batch)
    with pytest.raises(Refused):
        mmml.save_batch(batch, tmp_path / "birds.zip")
    assert list(tmp_path.glob("birds*")) == []
