"""The machine-readable mark of generated images: XMP with IPTC's digital source type
(https://cv.iptc.org/newscodes/digitalsourcetype), in GIF, which has no XMP here, a comment.
"""

from __future__ import annotations

from typing import Any

from PIL import Image, PngImagePlugin

from jobs.requests import TASKS

_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
    ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
    ' Iptc4xmpExt:DigitalSourceType="{}"/></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)
_PNG_KEYWORD = "XML:com.adobe.xmp"


def ai_mark(task: str) -> bytes:
    """The XMP packet for images of a task: made by a trained network, or with it from a photo."""
    composite = "compositeWithTrainedAlgorithmicMedia"
    name = composite if TASKS[task].images else "trainedAlgorithmicMedia"
    return _PACKET.format(_TYPE + name).encode()


def read_mark(image: Image.Image) -> bytes:
    """The XMP packet of an opened image; empty when it has none."""
    found = image.info.get("xmp") or image.info.get(_PNG_KEYWORD) or b""
    return found.encode() if isinstance(found, str) else found


def mark_options(extension: str, packet: bytes) -> dict[str, Any]:
    """What Pillow's ``save`` is given for an image with that packet."""
    if not packet:
        return {}
    if extension == "png":
        info = PngImagePlugin.PngInfo()
        info.add_itxt(_PNG_KEYWORD, packet.decode())
        return {"pnginfo": info}
    if extension == "gif":
        return {"comment": packet[packet.find(_TYPE.encode()) :].partition(b'"')[0]}
    return {"xmp": packet}
