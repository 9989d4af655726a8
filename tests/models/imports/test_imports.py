"""Files laid out as published, at small sizes, become bundles that serve; anything else is refused
with a sentence.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from models.bundle import Bundle
from models.damsm.inception import InceptionImageEncoder
from models.damsm.text_encoder import TextEncoder, TextEncoderConfig
from models.errors import BundleError
from models.forward import run
from models.imports.captions import read_words
from models.imports.checkpoint import read
from models.imports.export import export
from models.imports.methods import import_damsm, import_efficient_t2i, import_manigan, import_tdanet
from models.imports.networks import TDANET_ALIASES
from models.inpainting.network import InpaintConfig, InpaintEncoder, InpaintGenerator
from models.manipulation.network import DetailCorrection, MainModule, ManiganConfig
from models.pipeline import Item
from models.registry import load
from models.synthesis.network import Generator, GeneratorConfig
from tests.conftest import WORDS

TEXT = 16
T2I = GeneratorConfig(8, (2, 2, 1, 1), 8, TEXT, 8)
TDANET = InpaintConfig((8, 8, 16), 1, (8, 8, 4), 3, 4, TEXT, 2)
MANIGAN = ManiganConfig(8, 8, 2, 5, 6, TEXT, TEXT, 128, 8)


def saved(state: dict[str, Tensor], path: Path, prefix: str = "") -> Path:
    torch.save({prefix + k: v for k, v in state.items()}, path)
    return path


def captions(path: Path, words: list[str] = WORDS) -> Path:
    index = dict(enumerate(words))
    content = [[[1, 2]], [[3]], index, {w: k for k, w in index.items()}]
    path.write_bytes(pickle.dumps(content, protocol=2))
    return path


def with_aliases(network: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """As upstream's TDANet files list every convolution: twice, the second time under ``model`` or
    ``shortcut``.
    """
    doubled = dict(state)
    for block, module in network.named_modules():
        for alias, name in TDANET_ALIASES.get(type(module), {}).items():
            start = f"{block}.{name}."
            doubled |= {
                f"{block}.{alias}.{k.removeprefix(start)}": v
                for k, v in state.items()
                if k.startswith(start)
            }
    return doubled


class Published:
    """A folder of files as the authors published them."""

    def __init__(self, folder: Path, words: list[str] = WORDS) -> None:
        torch.manual_seed(3)
        self.folder = folder
        self.text = TextEncoder(TextEncoderConfig(len(words), 8, TEXT)).eval()
        self.text_file = saved(self.text.state_dict(), folder / "text_encoder.pth")
        self.captions = captions(folder / "captions.pickle", words)

    def efficient_t2i(self) -> dict[str, Path]:
        generator = Generator(T2I)
        state = generator.state_dict()
        for k, name in enumerate(generator.blocks):
            state |= {
                f"main.{k}.{key.removeprefix(name + '.')}": v
                for key, v in list(state.items())
                if key.startswith(name + ".")
            }
        self.generator = generator.eval()
        return self._with_text(generator=saved(state, self.folder / "netG.pth", "module."))

    def training_state(self) -> dict[str, Path]:
        """Efficient-T2I's own layout: the weights under ``net``, beside what training left."""
        files = self.efficient_t2i()
        state = read(files["generator"])
        whole = {"it": 7, "optimizer": None, "net": state, "netG_params": {"g_model": "deep"}}
        torch.save(whole, files["generator"])
        return files

    def tdanet(self) -> dict[str, Path]:
        nets = InpaintEncoder(TDANET), InpaintGenerator(TDANET)
        paths = [
            saved(with_aliases(n, n.state_dict()), self.folder / f"{k}_net.pth", "module.")
            for k, n in zip("EG", nets, strict=True)
        ]
        return self._with_text(encoder=paths[0], generator=paths[1])

    def manigan(self) -> dict[str, Path]:
        vgg = {f"features.{k}.{p}": v for k, p, v in _vgg_tensors()} | {
            "classifier.6.bias": torch.zeros(1000)
        }
        image = {
            k: v
            for k, v in InceptionImageEncoder(TEXT).state_dict().items()
            if "num_batches" not in k
        }
        return self._with_text(
            main=saved(MainModule(MANIGAN).state_dict(), self.folder / "main.pth"),
            dcm=saved(DetailCorrection(MANIGAN).state_dict(), self.folder / "dcm.pth"),
            vgg=saved(vgg, self.folder / "vgg16.pth"),
            **{"image-encoder": saved(image, self.folder / "image_encoder.pth")},
        )

    def _with_text(self, **files: Path) -> dict[str, Path]:
        return {**files, "text-encoder": self.text_file, "captions": self.captions}


def _vgg_tensors() -> list[tuple[int, str, Tensor]]:
    sizes = {0: (64, 3), 2: (64, 64), 5: (128, 64), 7: (128, 128), 10: (256, 128)}
    kernels = [(k, "weight", 0.05 * torch.randn(b, a, 3, 3)) for k, (b, a) in sizes.items()]
    return kernels + [(k, "bias", torch.zeros(b)) for k, (b, _) in sizes.items()]


@pytest.fixture
def published(tmp_path: Path) -> Published:
    (tmp_path / "files").mkdir()
    return Published(tmp_path / "files")


def serves(bundle: Bundle, task: str) -> None:
    photo = Image.new("RGB", (50, 40), "blue")
    mask = Image.new("L", (50, 40), 0)
    mask.paste(255, (10, 10, 30, 30))
    item = Item("a red bird", 1, 0, {"image": photo, "mask": mask})
    (picture,) = load(bundle.folder, task, None, "cpu").run([item]).pictures
    assert isinstance(picture, Image.Image), picture


@pytest.mark.parametrize("layout", ["efficient_t2i", "training_state"])
def test_efficient_t2i_with_prefix_and_aliases(
    published: Published, tmp_path: Path, layout: str
) -> None:
    bundle = import_efficient_t2i(getattr(published, layout)(), tmp_path / "bird")
    serves(bundle, "synthesize")
    z, sentence = torch.randn(2, 8), torch.randn(2, TEXT)
    with torch.no_grad():
        expected = published.generator(z, sentence).numpy()
    found = run(bundle.folder, "synthesize", {"z": z.numpy(), "sentence": sentence.numpy()})
    assert np.abs(found["image"] - expected).max() <= 1e-5


def test_tdanet_with_prefix_and_aliases(published: Published, tmp_path: Path) -> None:
    bundle = import_tdanet(published.tdanet(), tmp_path / "bird")
    serves(bundle, "inpaint")
    spec = bundle.task("inpaint")
    assert spec.tokenizer == "treebank"
    assert tuple(spec.network["encoder"]) == TDANET.encoder
    assert spec.network["feature"] == TDANET.feature


@pytest.mark.slow
def test_three_imports_share_a_folder_and_keep_their_own(
    published: Published, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = Published(tmp_path / "other", [*WORDS, "sky"])
    out = tmp_path / "bird"
    import_manigan(published.manigan(), out)
    import_tdanet(other.tdanet(), out)
    bundle = import_efficient_t2i(published.efficient_t2i(), out)
    for task in ("manipulate", "inpaint", "synthesize"):
        serves(bundle, task)
    vocabularies = {t: s.vocabulary for t, s in bundle.tasks.items()}
    assert vocabularies["manipulate"] == vocabularies["synthesize"] != vocabularies["inpaint"]
    card = (out / "CARD.md").read_text()
    for words in (
        "## manigan",
        "## tdanet",
        "## efficient-t2i",
        "main.pth",
        "academic research only",
    ):
        assert words in card
    given = {
        "image": np.zeros((1, 3, 32, 32), np.float32),
        "captions": np.array([[1, 2, 3, 0]]),
        "lengths": np.array([3]),
        "z": np.zeros((1, 5), np.float32),
        "ca_noise": np.zeros((1, 6), np.float32),
    }
    found = run(out, "manipulate", given)
    assert set(found) == {
        "words",
        "sentence",
        "global_code",
        "image64",
        "image128",
        "image256",
        "final",
    }


def test_damsm(published: Published, tmp_path: Path) -> None:
    image = saved(InceptionImageEncoder(TEXT).state_dict(), tmp_path / "image.pth")
    files = {
        "text-encoder": published.text_file,
        "captions": published.captions,
        "image-encoder": image,
    }
    assert set(import_damsm(files, tmp_path / "damsm").tasks) == {"damsm"}


def test_disagreeing_aliases_are_refused(published: Published, tmp_path: Path) -> None:
    files = published.tdanet()
    state = torch.load(files["encoder"], weights_only=True)
    state["module.block0.model.0.module.bias"] = state["module.block0.model.0.module.bias"] + 1
    torch.save(state, files["encoder"])
    with pytest.raises(BundleError, match="hold different numbers"):
        import_tdanet(files, tmp_path / "bird")


def test_the_wrong_kind_of_file_is_refused(published: Published, tmp_path: Path) -> None:
    files = published.tdanet()
    with pytest.raises(BundleError, match="of another kind"):
        import_efficient_t2i({**files, "generator": files["encoder"]}, tmp_path / "bird")
    swapped = {**files, "encoder": files["generator"], "generator": files["encoder"]}
    with pytest.raises(BundleError, match="of another kind"):
        import_tdanet(swapped, tmp_path / "bird")


def test_missing_and_unexpected_keys_are_listed(published: Published, tmp_path: Path) -> None:
    files = published.efficient_t2i()
    state = torch.load(files["generator"], weights_only=True)
    del state["module.bn.bias"]
    state["module.extra"] = torch.zeros(1)
    torch.save(state, files["generator"])
    with pytest.raises(BundleError, match=r"missing: bn\.bias; unexpected: extra"):
        import_efficient_t2i(files, tmp_path / "bird")


def test_truncated_and_foreign_files_are_refused(tmp_path: Path, published: Published) -> None:
    data = published.text_file.read_bytes()
    (tmp_path / "cut.pth").write_bytes(data[: len(data) // 2])
    (tmp_path / "text.pth").write_text("hello")
    torch.save([1, 2], tmp_path / "list.pth")
    for name, words in (
        ("cut", "not a readable"),
        ("text", "not a readable"),
        ("list", "no state dict"),
    ):
        with pytest.raises(BundleError, match=words):
            read(tmp_path / f"{name}.pth")
    with pytest.raises(BundleError, match="There is no file"):
        read(tmp_path / "none.pth")


class Hostile:
    """A pickle that would run a command."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("/tmp/mmml-was-here"),))


def test_hostile_pickles_are_refused(tmp_path: Path) -> None:
    for name, writer in (("captions.pickle", pickle.dump), ("weights.pth", torch.save)):
        with (tmp_path / name).open("wb") as file:
            writer([Hostile()], file)
    with pytest.raises(BundleError, match="is refused"):
        read_words(tmp_path / "captions.pickle")
    with pytest.raises(BundleError, match="not a readable checkpoint"):
        read(tmp_path / "weights.pth")
    assert not Path("/tmp/mmml-was-here").exists()


def test_a_vocabulary_of_another_encoder_is_refused(published: Published, tmp_path: Path) -> None:
    files = {
        **published.efficient_t2i(),
        "captions": captions(tmp_path / "c.pickle", [*WORDS, "more"]),
    }
    with pytest.raises(BundleError, match="give the captions file that belongs to it"):
        import_efficient_t2i(files, tmp_path / "bird")


def test_python_2_captions_are_read(tmp_path: Path) -> None:
    text = b"(lp0\n(lp1\na(lp2\na(dp3\nI0\nS'<end>'\np4\nsI1\nS'bird'\np5\nsa"
    text += b"(dp6\nS'bird'\np7\nI1\nsa."
    (tmp_path / "c.pickle").write_bytes(text)
    assert read_words(tmp_path / "c.pickle") == ["<end>", "bird"]


def test_raw_runs_name_missing_inputs(published: Published, tmp_path: Path) -> None:
    from models.errors import ModelsError

    bundle = import_efficient_t2i(published.efficient_t2i(), tmp_path / "bird")
    with pytest.raises(ModelsError, match="lack 'sentence'"):
        run(bundle.folder, "synthesize", {"z": np.zeros((1, 8), np.float32)})


def same(first: Path, second: Path) -> None:
    one, two = read(first, inside="net"), read(second, inside="net")
    assert one.keys() == two.keys()
    assert all(torch.equal(one[k], two[k]) for k in one)


def test_exports_return_what_was_imported(published: Published, tmp_path: Path) -> None:
    t2i, tdanet = published.efficient_t2i(), published.tdanet()
    import_efficient_t2i(t2i, tmp_path / "bird")
    import_tdanet(tdanet, tmp_path / "bird")
    export(tmp_path / "bird", "efficient-t2i", tmp_path / "t2i")
    same(tmp_path / "t2i/netG.pth", t2i["generator"])
    same(tmp_path / "t2i/text_encoder.pth", t2i["text-encoder"])
    assert read_words(tmp_path / "t2i/captions.pickle") == WORDS
    export(tmp_path / "bird", "tdanet", tmp_path / "tdanet")
    same(tmp_path / "tdanet/net_E.pth", tdanet["encoder"])
    same(tmp_path / "tdanet/net_G.pth", tdanet["generator"])


def test_networks_for_notebooks(published: Published, tmp_path: Path) -> None:
    import models

    import_efficient_t2i(published.efficient_t2i(), tmp_path / "bird")
    pipeline: Any = models.load(tmp_path / "bird")["synthesize"]
    assert models.load(tmp_path / "bird", "synthesize").spec.method == "efficient-t2i"
    z = torch.zeros(1, 8, requires_grad=True)
    pipeline.generator(z, torch.zeros(1, TEXT)).sum().backward()
    assert z.grad is not None
