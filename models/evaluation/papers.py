"""What the methods' papers report, in the metrics of this evaluation (docs/measured.md has all of
their rows): 256×256 pixels, their own evaluators and sample counts, so for orientation only.
"""

from __future__ import annotations

from collections.abc import Mapping

Columns = Mapping[str, Mapping[str, float]]
_MANIPULATION = ("is_inception", "sim", "diff", "mp")
_INPAINTING = ("l1", "psnr", "tv", "ssim")
NOTE = (
    "Paper columns: 256×256 pixels, the papers' own evaluators and sample counts: for orientation."
)


def _edits(**rows: tuple[float, float, float, float]) -> Columns:
    return {name: dict(zip(_MANIPULATION, row, strict=True)) for name, row in rows.items()}


def _fills(**rows: tuple[tuple[float, float], ...]) -> Columns:
    """Rows of (centre, object) pairs: L1 %, PSNR, TV %, SSIM %."""
    found: dict[str, dict[str, float]] = {}
    for name, row in rows.items():
        for metric, pair in zip(_INPAINTING, row, strict=True):
            scale = 1.0 if metric == "psnr" else 0.01
            for kind, value in zip(("center", "object"), pair, strict=True):
                found.setdefault(name, {})[f"{metric}_{kind}_upstream"] = value * scale
    return found


# task -> how the data set's name begins -> column -> metric -> value
_TABLES: dict[str, dict[str, Columns]] = {
    "synthesize": {
        "CUB": {
            "AttnGAN": {"is_inception": 4.36, "fid_inception": 23.98},
            "DF-GAN": {"is_inception": 5.10, "fid_inception": 14.81},
            "Efficient-T2I": {"is_inception": 4.23, "fid_inception": 11.17},
        },
        "Oxford": {"Efficient-T2I": {"is_inception": 3.71, "fid_inception": 16.47}},
    },
    "manipulate": {
        "CUB": _edits(
            SISGAN=(2.24, 0.045, 0.508, 0.022),
            TAGAN=(3.32, 0.048, 0.267, 0.035),
            ManiGAN=(8.47, 0.101, 0.281, 0.072),
        ),
        "COCO": _edits(
            SISGAN=(3.44, 0.077, 0.442, 0.042),
            TAGAN=(3.28, 0.089, 0.545, 0.040),
            ManiGAN=(14.96, 0.087, 0.216, 0.068),
        ),
    },
    "inpaint": {
        "CUB": _fills(
            CSA=((3.99, 6.42), (20.79, 19.13), (3.64, 4.33), (82.69, 72.65)),
            PICNet=((3.65, 7.28), (20.96, 18.80), (3.71, 4.12), (84.51, 70.78)),
            TDANet=((3.53, 4.80), (21.30, 20.89), (3.55, 3.34), (84.63, 79.16)),
        ),
        "COCO": _fills(
            CSA=((5.07, 8.78), (20.07, 19.23), (4.19, 4.86), (83.21, 75.22)),
            PICNet=((5.53, 9.21), (19.57, 18.73), (4.51, 4.97), (81.78, 74.44)),
            TDANet=((4.08, 7.48), (21.31, 20.57), (4.54, 4.20), (83.87, 76.78)),
        ),
    },
}

# ManiGAN's ablations on CUB, by their options' names.
ABLATIONS = _edits(
    without_acm=(4.01, 0.138, 0.491, 0.070),
    concatenation=(3.81, 0.135, 0.512, 0.065),
    without_main=(8.48, 0.084, 0.235, 0.064),
    without_dcm=(3.84, 0.123, 0.447, 0.068),
)


def columns(task: str, data: str) -> Columns:
    """Paper -> metric -> value, for a task on a data set; none where no paper measured that."""
    return next((c for start, c in _TABLES[task].items() if data.startswith(start)), {})
