"""One function per method: published files in, one task of a bundle out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from models.bundle import Bundle, save_task
from models.card import put_section
from models.checkpoints.captions import read_words
from models.checkpoints.published import Published
from models.damsm.official import read_image_encoder, read_text_encoder, read_vgg_detail
from models.damsm.text_encoder import TextEncoder
from models.errors import BundleError
from models.inpainting.classical import CLASSICAL
from models.inpainting.tdanet.official import read_tdanet
from models.manipulation.manigan.official import read_manigan
from models.registry import method_folders
from models.synthesis.efficient_t2i.official import read_efficient_t2i

# No caption of a request is longer: the published text encoders have no limit, and neither has the
# generation of their authors, but that of TDANet.
_UNCUT = 500
_TORCHVISION_VGG = "the ImageNet weights of torchvision"


@dataclass(frozen=True)
class Method:
    """What an import writes. max_words: captions are cut there."""

    task: str
    method: str
    licence: str
    tokenizer: str = "regexp"
    max_words: int = _UNCUT


_UNSTATED = "no licence stated upstream; research use"
METHODS = {
    "manigan": Method("manipulate", "manigan", _UNSTATED),
    "tdanet": Method(
        "inpaint", "tdanet", "academic research only (TDANet README)", "treebank", 128
    ),
    "efficient-t2i": Method("synthesize", "efficient-t2i", _UNSTATED),
    "damsm": Method("damsm", "damsm", "MIT (AttnGAN)"),
}
Files = Mapping[str, Path]


def import_manigan(files: Files, out: Path) -> Bundle:
    """files: main, dcm, text-encoder, image-encoder, captions, and vgg (else torchvision's
    download).
    """
    words = read_words(files["captions"])
    text = read_text_encoder(files["text-encoder"], len(words))
    image = read_image_encoder(files["image-encoder"])
    config, main, dcm = read_manigan(files["main"], files["dcm"])
    roles = {"main": main, "dcm": dcm, "image_encoder": image, "detail": _vgg(files.get("vgg"))}
    image_config = {"kind": "inception", "features": config.text}
    return _save(
        "manigan", out, files, words, text, config.size, asdict(config), roles, image_config
    )


def import_tdanet(files: Files, out: Path) -> Bundle:
    """files: encoder, generator, text-encoder, captions."""
    words = read_words(files["captions"])
    text = read_text_encoder(files["text-encoder"], len(words))
    config, encoder, generator = read_tdanet(files["encoder"], files["generator"])
    size = 8 << len(config.encoder)  # latents are 8×8
    roles = {"encoder": encoder, "generator": generator}
    return _save("tdanet", out, files, words, text, size, asdict(config), roles, None)


def import_efficient_t2i(files: Files, out: Path) -> Bundle:
    """files: generator, text-encoder, captions."""
    words = read_words(files["captions"])
    text = read_text_encoder(files["text-encoder"], len(words))
    generator, published = read_efficient_t2i(files["generator"])
    config = generator.config
    roles = {"generator": generator}
    return _save(
        "efficient-t2i",
        out,
        files,
        words,
        text,
        config.size,
        asdict(config),
        roles,
        None,
        published=published,
    )


def import_damsm(files: Files, out: Path) -> Bundle:
    """files: text-encoder, image-encoder, captions. Encoders alone, for training and evaluation."""
    words = read_words(files["captions"])
    text = read_text_encoder(files["text-encoder"], len(words))
    image = read_image_encoder(files["image-encoder"])
    image_config = {"kind": "inception", "features": text.config.features}
    return _save("damsm", out, files, words, text, 299, {}, {"image_encoder": image}, image_config)


def _save(
    name: str,
    out: Path,
    files: Files,
    words: list[str],
    text: TextEncoder,
    size: int,
    network: dict[str, Any],
    roles: Mapping[str, nn.Module],
    image_config: dict[str, Any] | None,
    **more: Any,
) -> Bundle:
    method = METHODS[name]
    spec = {
        "method": method.method,
        "size": size,
        "max_words": method.max_words,
        "tokenizer": method.tokenizer,
        "licence": method.licence,
        "network": network,
        "text_encoder": asdict(text.config),
        "image_encoder": image_config,
        "classical": list(CLASSICAL) if method.task == "inpaint" else [],
        **more,
    }
    states = {role: m.state_dict() for role, m in {**roles, "text_encoder": text}.items()}
    bundle = save_task(out, method.task, spec, states, name=out.name, words=words)
    _note_origin(bundle, name, method, files)
    return bundle


def _import_folder(name: str, files: Files, out: Path) -> Bundle:
    """files: those that the folder of the method ``name`` lists."""
    folder = method_folders()[name]
    found: Published = folder.module("official").read_published(files)
    method = Method(folder.task, name, folder.package.LICENCE, max_words=found.max_words)
    spec = {
        "method": name,
        "size": found.size,
        "licence": method.licence,
        "network": dict(found.network),
        "classical": list(CLASSICAL) if method.task == "inpaint" else [],
    }
    if found.words is None:
        spec["reads_text"] = False
    else:
        spec |= {"max_words": found.max_words, "tokenizer": method.tokenizer, "text_encoder": {}}
    spec |= found.more
    states = {role: module.state_dict() for role, module in found.roles.items()}
    bundle = save_task(out, method.task, spec, states, name=out.name, words=found.words)
    _note_origin(bundle, name, method, files, found.notes)
    return bundle


def _note_origin(
    bundle: Bundle, name: str, method: Method, files: Files, notes: Sequence[str] = ()
) -> None:
    """Say in the model card where the files came from."""
    lines = [f"{method.method} for `{method.task}`. Licence: {method.licence}.", *notes, ""]
    lines += [f"- {role}: `{file.name}`" for role, file in sorted(files.items())]
    put_section(bundle, name, "\n".join(lines))


def _vgg(path: Path | None) -> nn.Module:
    if path is not None:
        return read_vgg_detail(path)
    from torchvision.models import VGG16_Weights, vgg16

    from models.checkpoints.files import fit
    from models.damsm.inception import VggDetail

    try:
        state = vgg16(weights=VGG16_Weights.IMAGENET1K_V1).state_dict()
    except OSError as error:
        raise BundleError(
            f"{_TORCHVISION_VGG} can't be downloaded ({error}); give the file "
            f"vgg16-397923af.pth with --vgg."
        ) from error
    module = VggDetail()
    return fit(module, {key: state[key] for key in module.state_dict()}, _TORCHVISION_VGG)


IMPORTS: dict[str, Callable[[Files, Path], Bundle]] = {
    "manigan": import_manigan,
    "tdanet": import_tdanet,
    "efficient-t2i": import_efficient_t2i,
    "damsm": import_damsm,
}


def import_published(method: str, files: Files, out: Path) -> Bundle:
    """The published files of a method, by their roles, as one task of the bundle ``out``."""
    if method in IMPORTS:
        return IMPORTS[method](files, out)
    return _import_folder(method, files, out)
