"""Image sheets, the drawing of intervals, and a style that does not leak."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from scipy import stats

from gan_course import plots


@pytest.fixture
def ax() -> Iterator[Axes]:
    mpl.use("Agg")
    fig, ax = plots.figure()
    yield ax
    mpl.pyplot.close(fig)


def test_images_stand_row_by_row(ax: Axes) -> None:
    x = np.linspace(-1, 1, 3 * 6).reshape(3, 6)  # three images of 2 x 3 pixels
    plots.images(ax, x, (1, 2, 3), columns=2)
    sheet = np.asarray(ax.images[0].get_array())
    assert sheet.shape == (4, 6, 3)
    for image, (row, column) in zip(x, [(0, 0), (0, 3), (2, 0)], strict=True):
        shown = sheet[row : row + 2, column : column + 3, 0]
        np.testing.assert_allclose(shown, (image.reshape(2, 3) + 1) / 2)
    assert (sheet[2:, 3:] == 0).all()  # the place of a fourth image
    assert not ax.axison


def test_channels_are_colors_and_values_are_clipped(ax: Axes) -> None:
    x = np.array([[-3.0, 1.0, 0.0, -1.0, 1.0, 9.0]])  # one image of 1 x 2 pixels, three channels
    plots.images(ax, x, (3, 1, 2), columns=1)
    np.testing.assert_allclose(ax.images[0].get_array(), [[[0, 0.5, 1], [1, 0, 1]]])


@pytest.mark.parametrize(
    ("size", "shape", "columns", "message"),
    [
        ((2, 5), (1, 2, 3), 1, r"x has shape \(2, 5\) and shape is \(1, 2, 3\); allowed is \(n, 6"),
        ((1, 2, 6), (1, 2, 3), 1, "x has shape"),
        ((2, 12), (2, 2, 3), 1, "one channel or three"),
        ((2, 6), (1, 2, 3), 0, "columns is 0"),
    ],
)
def test_images_reject(
    ax: Axes, size: tuple[int, ...], shape: tuple[int, int, int], columns: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        plots.images(ax, np.zeros(size), shape, columns)


def test_band_draws_mean_and_t_interval() -> None:
    fig, ax = plots.figure()
    plots.band(ax, [0, 1], [[1.0, 2.0], [3.0, 4.0]], color=plots.DATA, label="x")
    assert ax.lines[0].get_ydata() == pytest.approx([2.0, 3.0])
    low = ax.collections[0].get_paths()[0].vertices[:, 1].min()
    assert low == pytest.approx(2 - stats.t.ppf(0.975, 1))
    with pytest.raises(ValueError, match=r"values has shape \(1, 2\)"):
        plots.band(ax, [0, 1], [[1.0, 2.0]], color="k", label="x")
    mpl.pyplot.close(fig)


def test_the_style_does_not_leak() -> None:
    before = dict(mpl.rcParams)
    fig, _ = plots.figure(2)
    assert dict(mpl.rcParams) == before
    mpl.pyplot.close(fig)
