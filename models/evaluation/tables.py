"""The papers' own numbers, shown beside ours for orientation: other data sizes, other judges.

Numbers are given in the papers' units; "-" where a paper gives none.
"""

from __future__ import annotations

from dataclasses import dataclass

Cells = tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """rows: name, then one cell per column; note: what keeps them from being compared with ours."""

    title: str
    columns: Cells
    rows: tuple[Cells, ...]
    note: str


EFFICIENT_T2I = Table(
    "Text to image as published, 256×256 (Efficient-T2I and others)",
    ("CUB IS", "CUB FID", "Oxford-102 IS", "Oxford-102 FID"),
    (
        ("StackGAN++", "4.04", "15.30", "3.26", "48.68"),
        ("AttnGAN", "4.36", "23.98", "-", "-"),
        ("DM-GAN", "4.75", "16.09", "-", "-"),
        ("DF-GAN", "5.10", "14.81", "-", "-"),
        ("Efficient-T2I", "4.23", "11.17", "3.71", "16.47"),
    ),
    "IS by StackGAN's fine-tuned Inception, FID by the 2015 Inception against training pictures "
    "(by the authors' code): not comparable with numbers by another network.",
)

MANIGAN = Table(
    "Manipulation as published, 256×256 (ManiGAN, Table 1)",
    ("CUB IS", "CUB sim", "CUB diff", "CUB MP", "COCO IS", "COCO sim", "COCO diff", "COCO MP"),
    (
        ("SISGAN", "2.24", ".045", ".508", ".022", "3.44", ".077", ".442", ".042"),
        ("TAGAN", "3.32", ".048", ".267", ".035", "3.28", ".089", ".545", ".040"),
        ("without ACM", "4.01", ".138", ".491", ".070", "5.26", ".121", ".537", ".056"),
        ("concat for ACM", "3.81", ".135", ".512", ".065", "13.48", ".085", ".532", ".039"),
        ("without main module", "8.48", ".084", ".235", ".064", "17.59", ".080", ".169", ".066"),
        ("without DCM", "3.84", ".123", ".447", ".068", "6.99", ".138", ".517", ".066"),
        ("ManiGAN", "8.47", ".101", ".281", ".072", "14.96", ".087", ".216", ".068"),
    ),
    "The encoders behind sim, the pixel range of diff and the sample count are not published. An "
    "independent measurement with the released bird weights found IS 5.22.",
)

TDANET = Table(
    "Inpainting as published, 256×256, centre / object masks (TDANet), per cent and dB",
    ("data", "l1 %", "PSNR", "TV %", "SSIM %"),
    (
        ("CSA", "CUB", "3.99 / 6.42", "20.79 / 19.13", "3.64 / 4.33", "82.69 / 72.65"),
        ("PICNet", "CUB", "3.65 / 7.28", "20.96 / 18.80", "3.71 / 4.12", "84.51 / 70.78"),
        ("TDANet", "CUB", "3.53 / 4.80", "21.30 / 20.89", "3.55 / 3.34", "84.63 / 79.16"),
        ("CSA", "COCO", "5.07 / 8.78", "20.07 / 19.23", "4.19 / 4.86", "83.21 / 75.22"),
        ("PICNet", "COCO", "5.53 / 9.21", "19.57 / 18.73", "4.51 / 4.97", "81.78 / 74.44"),
        ("TDANet", "COCO", "4.08 / 7.48", "21.31 / 20.57", "4.54 / 4.20", "83.87 / 76.78"),
    ),
    "By the protocol of the columns with _upstream: grey pictures, whole frame, the best of "
    "several candidates. Mean mask area 34.59 % (CUB) and 19.62 % (COCO).",
)

PAPERS: dict[str, tuple[Table, ...]] = {
    "synthesize": (EFFICIENT_T2I,),
    "manipulate": (MANIGAN,),
    "inpaint": (TDANET,),
}
