"""Draw the card that other sites show beside a link to the book: `book/_static/card.png`.

.venv/bin/python tools/social_card.py
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import norm

from gan_course.plots import CRITIC, DATA, GENERATOR, NEUTRAL

ROOT = Path(__file__).parent.parent
CARD = ROOT / "book" / "_static" / "card.png"
SIZE, DPI = (12.0, 6.3), 100  # 1200 by 630 pixels, as the protocol's sites ask for


def card(title: str) -> Figure:
    """The densities of data and generator, the best discriminator between them, and the title."""
    figure = Figure(figsize=SIZE, dpi=DPI, facecolor="white")
    axes = figure.add_axes((0.0, 0.06, 1.0, 0.5))
    x = np.linspace(-7, 7, 700)
    data = 0.6 * norm.pdf(x, -2, 0.8) + 0.4 * norm.pdf(x, 1, 0.6)
    generated = norm.pdf(x, 2.2, 1.3)
    for density, color in ((data, DATA), (generated, GENERATOR)):
        axes.fill_between(x, density, color=color, alpha=0.18, linewidth=0)
        axes.plot(x, density, color=color, linewidth=4)
    axes.plot(x, 0.36 * data / (data + generated), color=CRITIC, linewidth=3, linestyle="--")
    axes.set(xlim=(-7, 7), ylim=(0, 0.42))
    axes.axis("off")
    figure.text(0.06, 0.85, title, size=44, weight="bold", color="#1f1f1f", va="center")
    subtitle = "A course that you read, run and teach"
    figure.text(0.06, 0.71, subtitle, size=25, color=NEUTRAL, va="center")
    return figure


def main() -> None:
    """Draw the card with the title that `_config.yml` gives the book."""
    config = (ROOT / "_config.yml").read_text(encoding="utf-8")
    (title,) = re.findall(r"^title: (.+)$", config, re.MULTILINE)
    card(title).savefig(CARD, dpi=DPI, metadata={"Software": None})


if __name__ == "__main__":
    main()
