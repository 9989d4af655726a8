"""What a worker says that it can load."""

from __future__ import annotations

import gc
import json
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from torch.nn.modules.module import register_module_forward_pre_hook

from models.errors import BundleError, UnknownBundle
from models.runtime.cpu.threads import Execute, execute_here
from tests.conftest import write_paper_bundle
from tests.models.tiny import tiny_bundle
from workers.bundles import LocalBundles
from workers.pipeline_cache import CachedPipelineLoader
from workers.settings import WorkerSettings


def replace(folder: Path) -> str:
    """Another version of the bundle; its sha256."""
    path = folder / "bundle.json"
    raw = json.loads(path.read_text())
    raw["metrics"] = {"version": raw["metrics"].get("version", 0) + 1}
    path.with_suffix(".new").write_text(json.dumps(raw))
    path.with_suffix(".new").replace(path)
    fresh = LocalBundles(folder.parent)
    fresh.refresh()
    return fresh.sha256(folder.name)


def test_bundles_come_change_and_go(tmp_path: Path) -> None:
    bundles = LocalBundles(tmp_path)
    assert bundles.loadable() == {}
    write_paper_bundle(tmp_path / "paper", ("synthesize",))
    first = bundles.loadable()["paper"]
    assert first["tasks"] == ["synthesize"]
    assert replace(tmp_path / "paper") == bundles.loadable()["paper"]["sha256"] != first["sha256"]
    (tmp_path / "paper" / "bundle.json").write_text("{")
    assert bundles.loadable() == {}


def test_a_bundle_whose_files_are_missing_is_not_offered(tmp_path: Path) -> None:
    tiny_bundle(tmp_path / "tiny")
    bundles = LocalBundles(tmp_path)
    assert "synthesize" in bundles.loadable()["tiny"]["tasks"]
    raw = json.loads((tmp_path / "tiny/bundle.json").read_text())
    (tmp_path / "tiny" / raw["tasks"]["synthesize"]["files"]["generator"]["path"]).unlink()
    assert "synthesize" not in bundles.loadable()["tiny"]["tasks"]


@pytest.fixture
def loader(tmp_path: Path) -> CachedPipelineLoader:
    tiny_bundle(tmp_path / "tiny")
    return build(tmp_path)


def build(folder: Path, execute: Execute = execute_here, **settings: Any) -> CachedPipelineLoader:
    """A loader of the bundles in a folder."""
    here = {"weights_dir": folder, "cache_dir": folder}
    made = WorkerSettings(**here, precision="float32", max_batch=2, **settings)
    return CachedPipelineLoader(made, "cpu", execute)


@pytest.mark.parametrize("task", ["synthesize", "manipulate", "inpaint"])
def test_networks_are_warmed_up_in_the_thread_that_is_theirs(task: str, tmp_path: Path) -> None:
    method = tiny_bundle(tmp_path / "tiny").task(task).method
    threads: set[str] = set()

    def note(_module: object, _given: object) -> None:
        threads.add(threading.current_thread().name)

    with ThreadPoolExecutor(1, "networks") as networks:
        loader = build(tmp_path, lambda work: networks.submit(work).result())
        noting = register_module_forward_pre_hook(note)
        try:
            loader.get("tiny", task, method)
        finally:
            noting.remove()
    assert threads == {"networks_0"}


def test_a_replaced_bundle_is_loaded_beside_the_earlier_one(
    loader: CachedPipelineLoader, tmp_path: Path
) -> None:
    ask = ("tiny", "inpaint", "telea")
    old = loader.bundles()["tiny"]["sha256"]
    earlier = loader.get(*ask, old)
    new = replace(tmp_path / "tiny")
    later = loader.get(*ask, new)
    assert (earlier.bundle.sha256, later.bundle.sha256) == (old, new)
    assert loader.get(*ask, old) is earlier  # for jobs that were read with it
    assert loader.get(*ask) is later
    with pytest.raises(UnknownBundle, match="all workers the gateway's weights"):
        loader.get(*ask, "0" * 64)


def test_networks_that_can_not_be_loaded_are_not_offered(
    loader: CachedPipelineLoader, tmp_path: Path
) -> None:
    raw = json.loads((tmp_path / "tiny/bundle.json").read_text())
    spec = raw["tasks"]["synthesize"]
    (tmp_path / "tiny" / spec["files"]["generator"]["path"]).write_bytes(b"damaged")
    assert "synthesize" in loader.bundles()["tiny"]["tasks"]
    with pytest.raises(BundleError):
        loader.get("tiny", "synthesize", spec["method"])
    assert loader.bundles()["tiny"]["tasks"] == ["manipulate", "inpaint"]


def test_mended_networks_are_offered_after_a_reload(
    loader: CachedPipelineLoader, tmp_path: Path
) -> None:
    spec = json.loads((tmp_path / "tiny/bundle.json").read_text())["tasks"]["synthesize"]
    path = tmp_path / "tiny" / spec["files"]["generator"]["path"]
    whole = path.read_bytes()
    path.write_bytes(b"damaged")
    with pytest.raises(BundleError):
        loader.get("tiny", "synthesize", spec["method"])
    path.write_bytes(whole)  # bundle.json is as it was
    assert "synthesize" not in loader.bundles()["tiny"]["tasks"]
    loader.forget_failures()
    assert "synthesize" in loader.bundles()["tiny"]["tasks"]
    assert loader.get("tiny", "synthesize", spec["method"])


def test_networks_that_leave_are_out_of_memory(tmp_path: Path) -> None:
    tiny_bundle(tmp_path / "tiny")
    ask = ("tiny", "synthesize", ""), ("tiny", "manipulate", "")
    large = build(tmp_path)
    sizes = [large.get(*each).weight_bytes() for each in ask]
    stored = sum(path.stat().st_size for path in tmp_path.rglob("*.safetensors"))
    assert 0 < max(sizes) < sum(sizes) < 2 * stored
    loader = build(tmp_path, network_memory=max(sizes))
    first = weakref.ref(loader.get(*ask[0]))
    gc.freeze()  # as a worker does at its start
    assert first() is not None
    loader.get(*ask[1])
    assert first() is None
    assert list(loader.loaded().values()) == [sizes[1]]


def test_a_worker_of_some_bundles_offers_no_others(tmp_path: Path) -> None:
    for name in ("one", "other"):
        tiny_bundle(tmp_path / name)
    loader = build(tmp_path, serve_bundles=("one",))
    assert list(loader.bundles()) == ["one"]
    with pytest.raises(UnknownBundle):
        loader.get("other", "synthesize", "", LocalBundles(tmp_path).loadable()["other"]["sha256"])
