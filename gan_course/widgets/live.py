"""The widgets with a kernel behind them."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets
from IPython.display import HTML, clear_output, display
from ipywidgets import FloatSlider, Output, VBox

from gan_course.widgets import birthdays, bounds, coverings, critics, deltas, masses, portraits
from gan_course.widgets.gaussians import LIMITS, evaluate
from gan_course.widgets.pictures import DISPLAY_DPI, draw_figure, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HERE = Path(__file__).parent


class Frames(anywidget.AnyWidget):
    """Precomputed pictures under a slider; see `gan_course.widgets.frames`."""

    _esm = HERE / "frames.js"
    _css = HERE / "widgets.css"
    pictures = traitlets.List(traitlets.Unicode()).tag(sync=True)
    labels = traitlets.List(traitlets.Unicode()).tag(sync=True)
    alts = traitlets.List(traitlets.Unicode()).tag(sync=True)
    name = traitlets.Unicode().tag(sync=True)
    fps = traitlets.Float().tag(sync=True)
    index = traitlets.Int().tag(sync=True)
    width = traitlets.Int().tag(sync=True)
    height = traitlets.Int().tag(sync=True)


class TwoGaussians(anywidget.AnyWidget):
    """Two bells to drag; see `gan_course.widgets.two_gaussians`."""

    _esm = HERE / "two_gaussians.js"
    _css = HERE / "widgets.css"
    mean = traitlets.CFloat(0.0, min=LIMITS["mean"][0], max=LIMITS["mean"][1]).tag(sync=True)
    mu = traitlets.CFloat(3.0, min=LIMITS["mu"][0], max=LIMITS["mu"][1]).tag(sync=True)
    s = traitlets.CFloat(1.0, min=LIMITS["s"][0], max=LIMITS["s"][1]).tag(sync=True)
    readout = traitlets.Dict(read_only=True)

    @traitlets.default("readout")
    def _readout_now(self) -> dict[str, float]:
        return evaluate(self.mean, self.mu, self.s)

    @traitlets.observe("mean", "mu", "s")
    def _state_changed(self, change: Any) -> None:
        self.set_trait("readout", self._readout_now())


class MovingMass(anywidget.AnyWidget):
    """Two histograms to drag; see `gan_course.widgets.moving_mass`."""

    _esm = HERE / "moving_mass.js"
    _css = HERE / "widgets.css"
    p = traitlets.List(traitlets.CFloat(), list(masses.DATA_START)).tag(sync=True)
    q = traitlets.List(traitlets.CFloat(), list(masses.GENERATOR_START)).tag(sync=True)
    readout = traitlets.Dict(read_only=True)

    @traitlets.validate("p", "q")
    def _law(self, proposal: Any) -> list[float]:
        return masses.shares(proposal["trait"].name, proposal["value"])

    @traitlets.default("readout")
    def _readout_now(self) -> dict[str, float]:
        return masses.evaluate(self.p, self.q)

    @traitlets.observe("p", "q")
    def _state_changed(self, change: Any) -> None:
        self.set_trait("readout", self._readout_now())


class PhasePortrait(anywidget.AnyWidget):
    """A flow or a map of two parameters; see `gan_course.widgets.phase_portrait`."""

    _esm = HERE / "phase_portrait.js"
    _css = HERE / "widgets.css"
    system = traitlets.Enum(portraits.SYSTEMS, "dirac").tag(sync=True)
    loss = traitlets.Enum(portraits.LOSS_NAMES, "minimax").tag(sync=True)
    regularizer = traitlets.Enum(portraits.REGULARIZERS, "none").tag(sync=True)
    strength = traitlets.CFloat(
        0.0, min=portraits.LIMITS["strength"][0], max=portraits.LIMITS["strength"][1]
    ).tag(sync=True)
    mode = traitlets.Enum(portraits.MODES, "flow").tag(sync=True)
    step = traitlets.CFloat(
        0.2, min=portraits.LIMITS["step"][0], max=portraits.LIMITS["step"][1]
    ).tag(sync=True)
    start = traitlets.List(traitlets.CFloat(), list(portraits.STARTS["dirac"])).tag(sync=True)
    task = traitlets.Enum(portraits.TASKS, None, allow_none=True).tag(sync=True)
    touched = traitlets.Bool(False).tag(sync=True)
    readout = traitlets.Dict(read_only=True)

    @traitlets.validate("regularizer")
    def _fits(self, proposal: Any) -> str:
        return portraits.fitting(self.system, proposal["value"])

    @traitlets.validate("start")
    def _inside(self, proposal: Any) -> list[float]:
        return portraits.point(self.system, proposal["value"])

    @traitlets.default("readout")
    def _readout_now(self) -> dict[str, Any]:
        return portraits.evaluate(
            self.system, self.loss, self.regularizer, self.strength, self.mode, self.step
        )

    @traitlets.observe("loss", "regularizer", "strength", "mode", "step")
    def _state_changed(self, change: Any) -> None:
        self.set_trait("readout", self._readout_now())


class EpsilonNet(anywidget.AnyWidget):
    """A disc to cover; see `gan_course.widgets.epsilon_net`."""

    _esm = HERE / "epsilon_net.js"
    _css = HERE / "widgets.css"
    radius = traitlets.CFloat(0.5, min=coverings.RADIUS[0], max=coverings.RADIUS[1]).tag(sync=True)
    points = traitlets.List(
        traitlets.List(traitlets.CFloat()), [list(point) for point in coverings.START]
    ).tag(sync=True)
    readout = traitlets.Dict(read_only=True)

    @traitlets.validate("points")
    def _inside(self, proposal: Any) -> list[list[float]]:
        return coverings.inside(proposal["value"])

    @traitlets.default("readout")
    def _readout_now(self) -> dict[str, Any]:
        return coverings.evaluate(self.radius, self.points)

    @traitlets.observe("radius", "points")
    def _state_changed(self, change: Any) -> None:
        self.set_trait("readout", self._readout_now())


class SampleCalculator(anywidget.AnyWidget):
    """The samples that a bound asks for; see `gan_course.widgets.sample_calculator`."""

    _esm = HERE / "sample_calculator.js"
    _css = HERE / "widgets.css"
    m = traitlets.CInt(100, min=1, max=int(bounds.LIMITS["m"][1])).tag(sync=True)
    lipschitz = traitlets.CFloat(
        10.0, min=bounds.LIMITS["lipschitz"][0], max=bounds.LIMITS["lipschitz"][1]
    ).tag(sync=True)
    epsilon = traitlets.CFloat(
        0.1, min=bounds.LIMITS["epsilon"][0], max=bounds.LIMITS["epsilon"][1]
    ).tag(sync=True)
    failure = traitlets.CFloat(
        0.01, min=bounds.LIMITS["failure"][0], max=bounds.LIMITS["failure"][1]
    ).tag(sync=True)
    readout = traitlets.Dict(read_only=True)

    @traitlets.default("readout")
    def _readout_now(self) -> dict[str, float]:
        return bounds.evaluate(self.m, self.lipschitz, self.epsilon, self.failure)

    @traitlets.observe("m", "lipschitz", "epsilon", "failure")
    def _state_changed(self, change: Any) -> None:
        self.set_trait("readout", self._readout_now())


class BirthdayTest(anywidget.AnyWidget):
    """Drawings from a law, and their collisions; see `gan_course.widgets.birthday_test`."""

    _esm = HERE / "birthday_test.js"
    _css = HERE / "widgets.css"
    support = traitlets.Int(
        365, min=birthdays.LIMITS["support"][0], max=birthdays.LIMITS["support"][1]
    ).tag(sync=True)
    draws = traitlets.Int(
        23, min=birthdays.LIMITS["draws"][0], max=birthdays.LIMITS["draws"][1]
    ).tag(sync=True)
    heavy = traitlets.CFloat(
        0.0, min=birthdays.LIMITS["heavy"][0], max=birthdays.LIMITS["heavy"][1]
    ).tag(sync=True)
    drawings = traitlets.Int(
        100, min=birthdays.LIMITS["drawings"][0], max=birthdays.LIMITS["drawings"][1]
    ).tag(sync=True)
    seed = traitlets.Int(15, min=0, max=birthdays.SEEDS - 1).tag(sync=True)
    readout = traitlets.Dict(read_only=True)

    @traitlets.default("readout")
    def _readout_now(self) -> dict[str, float]:
        return birthdays.evaluate(self.support, self.draws, self.heavy, self.drawings, self.seed)

    @traitlets.observe("support", "draws", "heavy", "drawings", "seed")
    def _state_changed(self, change: Any) -> None:
        self.set_trait("readout", self._readout_now())


class TwoClouds(anywidget.AnyWidget):
    """Two clouds, their exact critic and a network; see `gan_course.widgets.two_clouds`."""

    _esm = HERE / "two_clouds.js"
    _css = HERE / "widgets.css"
    data = traitlets.List(
        traitlets.List(traitlets.CFloat()), [list(point) for point in critics.DATA_START]
    ).tag(sync=True)
    generated = traitlets.List(
        traitlets.List(traitlets.CFloat()), [list(point) for point in critics.GENERATED_START]
    ).tag(sync=True)
    regularizer = traitlets.Enum(critics.REGULARIZERS, "gradient penalty").tag(sync=True)
    strength = traitlets.CFloat(critics.STRENGTHS["gradient penalty"]).tag(sync=True)
    extension = traitlets.Enum(critics.EXTENSIONS, "middle").tag(sync=True)
    touched = traitlets.Bool(False).tag(sync=True)
    readout = traitlets.Dict(read_only=True)

    @traitlets.validate("data", "generated")
    def _cloud(self, proposal: Any) -> list[list[float]]:
        points = critics.cloud(proposal["trait"].name, proposal["value"])
        other = self.generated if proposal["trait"].name == "data" else self.data
        critics.same_size(points, other)
        return points

    @traitlets.validate("strength")
    def _fits(self, proposal: Any) -> float:
        return critics.fitting(self.regularizer, proposal["value"])

    @traitlets.observe("regularizer")
    def _usual_strength(self, change: Any) -> None:
        try:
            self.strength = critics.fitting(self.regularizer, self.strength)
        except ValueError:
            self.strength = critics.STRENGTHS[self.regularizer]

    @traitlets.default("readout")
    def _readout_now(self) -> dict[str, Any]:
        return critics.evaluate(self.data, self.generated)

    @traitlets.observe("data", "generated")
    def _state_changed(self, change: Any) -> None:
        self.set_trait("readout", self._readout_now())


class DeltaFeatures(anywidget.AnyWidget):
    """Random features that stand for a delta; see `gan_course.widgets.delta_features`."""

    _esm = HERE / "delta_features.js"
    _css = HERE / "widgets.css"
    width = traitlets.Int(
        10, min=int(deltas.LIMITS["width"][0]), max=int(deltas.LIMITS["width"][1])
    ).tag(sync=True)
    scale = traitlets.CFloat(5.0, min=deltas.LIMITS["scale"][0], max=deltas.LIMITS["scale"][1]).tag(
        sync=True
    )
    ridge = traitlets.CFloat(
        1e-6, min=deltas.LIMITS["ridge"][0], max=deltas.LIMITS["ridge"][1]
    ).tag(sync=True)
    constant = traitlets.Bool(True).tag(sync=True)
    seed = traitlets.Int(21, min=0, max=birthdays.SEEDS - 1).tag(sync=True)
    readout = traitlets.Dict(read_only=True)

    @traitlets.default("readout")
    def _readout_now(self) -> dict[str, float]:
        return deltas.evaluate(self.width, self.scale, self.ridge, self.constant, self.seed)

    @traitlets.observe("width", "scale", "ridge", "constant", "seed")
    def _state_changed(self, change: Any) -> None:
        self.set_trait("readout", self._readout_now())


class Dial(VBox):
    """A slider and the picture that it sets; see `gan_course.widgets.dial`."""

    value = traitlets.CFloat()
    touched = traitlets.Bool(False)

    def __init__(
        self,
        draw: Callable[[float, Axes], object],
        label: str,
        start: float,
        minimum: float,
        maximum: float,
        step: float,
        size: tuple[float, float],
    ) -> None:
        self._draw, self._size = draw, size
        self._slider = FloatSlider(
            value=start,
            min=minimum,
            max=maximum,
            step=step,
            description=label,
            continuous_update=False,
            style={"description_width": "initial"},
            layout={"width": "min(28rem, 100%)"},
        )
        self._output = Output()
        super().__init__([self._slider, self._output])
        traitlets.link((self._slider, "value"), (self, "value"))
        self._show()
        self.observe(self._moved, names="value")

    def _moved(self, change: Any) -> None:
        self.touched = True
        self._show()

    def _show(self) -> None:
        figure = draw_figure(lambda axes: self._draw(self.value, axes), self._size)
        with self._output:
            clear_output(wait=True)
            text = html.escape(f"{self._slider.description} = {self.value:g}")
            data = base64.b64encode(png(figure)).decode("ascii")
            width = round(DISPLAY_DPI * self._size[0])
            # HTML, since the Image of IPython 7, which Colab has, knows no alternative text.
            display(HTML(f'<img src="data:image/png;base64,{data}" width="{width}" alt="{text}">'))
