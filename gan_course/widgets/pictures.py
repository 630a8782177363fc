"""Small pictures: figures and image files as WebP."""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image

DPI = 144
DISPLAY_DPI = 100


@dataclass(frozen=True)
class Picture:
    """A WebP picture and the size, in CSS pixels, at which it is meant to be seen."""

    data: bytes
    width: int
    height: int

    @property
    def url(self) -> str:
        """The picture as a `data:` address."""
        return f"data:image/webp;base64,{base64.b64encode(self.data).decode('ascii')}"


def draw_figure(draw: Callable[[Axes], object], size: tuple[float, float]) -> Figure:
    """A figure of `size` inches with one pair of axes, drawn by `draw`; pyplot never sees it."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from gan_course.plots import STYLE

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.add_subplot())
    return figure


def encode(source: Figure | bytes | str | Path) -> Picture:
    """A matplotlib figure, an image's bytes or an image file, as the smaller of two WebPs.

    Few flat colors compress best without loss after the palette is cut to 64 colors; photographs
    and clouds of translucent points compress best with loss.
    """
    from matplotlib.figure import Figure
    from PIL import Image

    scale = 1.0
    if isinstance(source, Figure):
        data, scale = png(source), DISPLAY_DPI / DPI
    elif isinstance(source, bytes):
        data = source
    elif isinstance(source, str | Path):
        data = Path(source).read_bytes()
    else:
        raise TypeError(
            "a picture must be a matplotlib Figure, the bytes of an image or a path to one, "
            f"not {type(source).__name__}"
        )
    image = Image.open(BytesIO(data)).convert("RGB")
    flat = image.quantize(64, dither=Image.Dither.NONE).convert("RGB")
    smallest = min(_webp(flat, lossless=True), _webp(image, lossless=False), key=len)
    return Picture(smallest, round(image.width * scale), round(image.height * scale))


def png(figure: Figure) -> bytes:
    """The figure as PNG. Pyplot forgets it, or the notebook would show it a second time."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close(figure)
    return buffer.getvalue()


def _webp(image: Image.Image, *, lossless: bool) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format="WEBP", lossless=lossless, quality=75, method=4)
    return buffer.getvalue()
