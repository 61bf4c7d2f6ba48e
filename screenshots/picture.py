"""From SVG to PNG and to one animation, where the `screenshots` extra is installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

FONT_IN_SVG, FONT_FOR_PNG = "Fira Code", "DejaVu Sans Mono"
#: An animation in a README is to load at once.
ANIMATION_BYTES_MAX = 1_000_000
_COLOURS = 64


def write_png(svg: str, path: Path) -> None:
    """The picture as PNG; nothing where the renderer is missing."""
    try:
        import resvg_py  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return
    path.write_bytes(bytes(resvg_py.svg_to_bytes(svg_string=svg.replace(FONT_IN_SVG, FONT_FOR_PNG))))
    _shrink(path)


def _shrink(path: Path) -> None:
    """A quarter of the bytes: a terminal shows few colours."""
    try:
        from PIL import Image
    except ImportError:
        return
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(_COLOURS).save(path, optimize=True)


def animate(frames: Sequence[Path], shown_ms: Sequence[int], path: Path) -> None:
    """Several PNG files as one animated PNG; nothing where they, or what joins them, are missing.

    Raises:
        SystemExit: it would be larger than `ANIMATION_BYTES_MAX`.
    """
    try:
        from PIL import Image
    except ImportError:
        return
    if not frames or not all(one.exists() for one in frames):
        return
    opened = [Image.open(one).convert("RGB") for one in frames]
    # One palette for all frames, or colours would flicker.
    palette = opened[-1].quantize(_COLOURS)
    pictures = [one.quantize(palette=palette, dither=Image.Dither.NONE) for one in opened]
    options = {"save_all": True, "append_images": pictures[1:], "duration": list(shown_ms), "loop": 0}
    pictures[0].save(path, optimize=True, **options)
    if path.stat().st_size > ANIMATION_BYTES_MAX:
        raise SystemExit(f"{path.name} takes {path.stat().st_size:,} bytes, more than {ANIMATION_BYTES_MAX:,}")
    print(path.name, f"{path.stat().st_size:,} bytes")
