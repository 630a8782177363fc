"""The widgets' makers: a live object with a kernel behind it, or a `Still` for a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_course.runtime import is_static
from gan_course.widgets import birthdays, bounds, coverings, critics, deltas, masses, portraits
from gan_course.widgets.gaussians import LIMITS, evaluate, still_figure
from gan_course.widgets.pictures import Picture, draw_figure, encode
from gan_course.widgets.still import Still

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

    from gan_course.widgets.live import (
        BirthdayTest,
        DeltaFeatures,
        Dial,
        EpsilonNet,
        Frames,
        MovingMass,
        PhasePortrait,
        SampleCalculator,
        TwoClouds,
        TwoGaussians,
    )

RUN_ME = "Run this page (rocket button) to move the dial."


def frames(
    pictures: Callable[[int, Axes], object] | Sequence[Figure | bytes | str | Path],
    *,
    labels: Sequence[str],
    alt: str | Sequence[str],
    name: str = "Frame",
    fps: float = 4.0,
    start: int = 0,
    size: tuple[float, float] = (6.4, 3.6),
) -> Frames | Still:
    """Precomputed pictures under a slider, with play and step buttons; needs no kernel.

    Parameters
    ----------
    pictures
        `draw(i, axes)`, called once per label on fresh axes, or the pictures themselves
        (matplotlib figures, the bytes of images, paths), all of one size. Fix the axes' limits, or
        the frames jump.
    labels
        One short text per frame, shown beside the slider ("step 200").
    alt
        What each frame shows: one text per frame, or one template with `{label}` and `{index}`.
    name
        What the slider moves ("training step"), for screen readers.
    fps
        Frames a second while playing.
    start
        The frame shown first, and where scripts are off; negative counts from the end.
    size
        Inches, for `draw`.

    Raises
    ------
    ValueError
        On no frames, unequal numbers or sizes, blank texts, or `start` or `fps` out of range.
    """
    texts = _texts(labels, alt)
    if not callable(pictures) and len(pictures) != len(labels):
        raise ValueError(f"labels must be one per picture: {len(labels)} for {len(pictures)}")
    if not -len(labels) <= start < len(labels):
        raise ValueError(f"start={start} must lie in [{-len(labels)}, {len(labels) - 1}]")
    if not 0 < fps <= 30:
        raise ValueError(f"fps={fps} must lie in (0, 30]")
    encoded = _encoded(pictures, len(labels), size)
    index = start % len(labels)
    state: dict[str, Any] = {
        "pictures": [picture.url for picture in encoded],
        "labels": list(labels),
        "alts": texts,
        "name": name,
        "fps": float(fps),
        "index": index,
        "width": encoded[0].width,
        "height": encoded[0].height,
    }
    if is_static():
        return Still("frames", state, encoded[index], texts[index])
    from gan_course.widgets.live import Frames

    return Frames(**state)


def _texts(labels: Sequence[str], alt: str | Sequence[str]) -> list[str]:
    """Alternative texts, one per frame and none blank."""
    if not labels:
        raise ValueError("labels=[] must name at least one frame")
    if isinstance(alt, str):
        texts = [alt.format(label=label, index=i) for i, label in enumerate(labels)]
    else:
        texts = list(alt)
    if len(texts) != len(labels):
        raise ValueError(f"alt must have one text per frame: {len(texts)} for {len(labels)}")
    for argument, values in (("labels", labels), ("alt", texts)):
        for i, text in enumerate(values):
            if not text.strip():
                raise ValueError(f"{argument}[{i}]={text!r} must say something")
    return texts


def _encoded(
    pictures: Callable[[int, Axes], object] | Sequence[Figure | bytes | str | Path],
    count: int,
    size: tuple[float, float],
) -> list[Picture]:
    if callable(pictures):
        draw = pictures
        encoded = [
            encode(draw_figure(lambda axes, i=i: draw(i, axes), size))  # type: ignore[misc]
            for i in range(count)
        ]
    else:
        encoded = [encode(picture) for picture in pictures]
    sizes = {(picture.width, picture.height) for picture in encoded}
    if len(sizes) > 1:
        raise ValueError(f"pictures must all have one size, not {sorted(sizes)}")
    return encoded


def two_gaussians(*, mean: float = 0.0, mu: float = 3.0, s: float = 1.0) -> TwoGaussians | Still:
    r"""Two bells to drag: data :math:`N(mean, 1)` and generator :math:`N(\mu, s^2)`.

    Shows the discriminator :math:`D^* = p/(p+q)` that is best between them (Goodfellow et al.,
    2014, Proposition 1), both generator losses at it, and their gradients with it frozen
    (Arjovsky & Bottou, 2017). The state is in `mean`, `mu`, `s`, the numbers in `readout`: see
    `evaluate`.

    Raises
    ------
    ValueError
        Where `mean` or `mu` is outside [-8, 8], or `s` outside [0.25, 3].
    """
    state = {"mean": float(mean), "mu": float(mu), "s": float(s)}
    for key, value in state.items():
        low, high = LIMITS[key]
        if not low <= value <= high:
            raise ValueError(f"{key}={value:g} must lie in [{low:g}, {high:g}]")
    if not is_static():
        from gan_course.widgets.live import TwoGaussians

        return TwoGaussians(**state)
    readout = evaluate(**state)
    alt = (
        f"Densities of data N({mean:g}, 1) and generator N({mu:g}, {s:g}²), the discriminator best "
        "between them, and against the generator's mean both generator losses and the sizes of "
        f"both gradients. Here the minimax gradient is {readout['gradient_minimax']:.3g}, "
        f"the non-saturating one {readout['gradient_nonsaturating']:.3g}."
    )
    picture = encode(still_figure(**state))
    return Still("two_gaussians", state, picture, alt, readable={"readout": readout})


def moving_mass(
    *, p: ArrayLike = masses.DATA_START, q: ArrayLike = masses.GENERATOR_START
) -> MovingMass | Still:
    r"""Two histograms to drag, data `p` and generator `q`, and the mass that moves between them.

    Each has eight bins, whose masses sit at the places 1, ..., 8. Setting one mass lets the others
    of its histogram keep their proportions. Shows the monotone coupling, which is optimal, and a
    dual potential of slope :math:`\pm 1` where the distribution functions differ. The masses are in
    `p` and `q`, the numbers in `readout`: see `gan_course.widgets.masses.evaluate`.

    Parameters
    ----------
    p, q
        Eight weights each, none negative; they are divided by their sum.

    Raises
    ------
    ValueError
        Where there are not eight of them, or they are negative, not finite or all 0.
    """
    state = {name: masses.shares(name, weights) for name, weights in (("p", p), ("q", q))}
    if not is_static():
        from gan_course.widgets.live import MovingMass

        return MovingMass(**state)
    readout = masses.evaluate(**state)
    rows = {name: ", ".join(f"{mass:.2g}" for mass in row) for name, row in state.items()}
    alt = (
        f"Histograms of data ({rows['p']}) and generator ({rows['q']}) over the places 1 to 8, "
        "ribbons that carry the mass from one to the other without crossing, and the dual "
        f"potential, with slopes -1, 0 and 1. W1 is {readout['w1']:.3g}, JS {readout['js']:.3g}, "
        f"TV {readout['tv']:.3g}."
    )
    picture = encode(masses.still_figure(**state))
    return Still("moving_mass", state, picture, alt, readable={"readout": readout})


def phase_portrait(
    system: str = "dirac",
    loss: str = "minimax",
    regularizer: str = "none",
    strength: float = 0.0,
    mode: str = "flow",
    step: float = 0.2,
    start: Sequence[float] | None = None,
    task: str | None = None,
) -> PhasePortrait | Still:
    r"""A game of two parameters: its field, a start to drag, eigenvalues at the equilibrium.

    The systems are those of `gan_course.dynamics`, the critic's parameter horizontal. The state is
    in the arguments' names, `touched` says whether a hand has changed it, and `readout` has the
    eigenvalues: see `gan_course.widgets.portraits.evaluate`.

    Parameters
    ----------
    system
        "dirac" or "uniform".
    loss
        "minimax", "non-saturating" or "Wasserstein".
    regularizer
        "none", "R1", "consensus", "gradient norm" or, for the Dirac-GAN only, "instance noise".
    strength
        Of the regularizer, from 0 to 3: :math:`\gamma` of R1 and consensus, :math:`\eta` of the
        gradient norm, the standard deviation of instance noise. It waits while there is none.
    mode
        "flow", or the map of "simultaneous" or "alternating" steps, the critic's first.
    step
        Size of the map's steps, from 0.05 to 5.
    start
        Where the trajectory begins, the critic's parameter first.
    task
        None, or what the explorable asks for and marks: "critical strength", the smallest of R1 at
        which the flow's eigenvalues are no longer complex, or "unstable step", a step size at which
        simultaneous steps are unstable although the flow is stable.

    Raises
    ------
    ValueError
        Where a value is not among these.
    """
    state = portraits.checked(
        system=system, loss=loss, regularizer=regularizer, strength=strength, mode=mode, step=step,
        start=start, task=task,
    )  # fmt: skip
    if not is_static():
        from gan_course.widgets.live import PhasePortrait

        return PhasePortrait(**state)
    drawn = {key: value for key, value in state.items() if key not in ("task", "touched")}
    readout = portraits.evaluate(**{k: v for k, v in drawn.items() if k != "start"})
    picture = encode(portraits.still_figure(**drawn))
    alt = portraits.describe(drawn, readout)
    return Still("phase_portrait", state, picture, alt, readable={"readout": readout})


def epsilon_net(radius: float = 0.5, points: ArrayLike | None = None) -> EpsilonNet | Still:
    r"""The unit disk to cover with disks of one radius, whose centers the reader places.

    The centers are a net where no place of the disk is farther than the radius from all of them;
    a smallest net has between :math:`(1/\delta)^2` and :math:`(1 + 2/\delta)^2` points
    (Vershynin, 2018, corollary 4.2.13). The state is in `radius` and `points`, the numbers in
    `readout`: see `gan_course.widgets.coverings.evaluate`.

    Parameters
    ----------
    radius
        Of the disks, :math:`\delta`, from 0.2 to 1.
    points
        The first centers, pairs in the unit disk, at most 200; none of them is `[]`.

    Raises
    ------
    ValueError
        Where `radius` is out of range, or `points` are not such pairs.
    """
    low, high = coverings.RADIUS
    if not low <= radius <= high:
        raise ValueError(f"radius={radius:g} must lie in [{low:g}, {high:g}]")
    state: dict[str, Any] = {"radius": float(radius), "points": coverings.inside(points)}
    if not is_static():
        from gan_course.widgets.live import EpsilonNet

        return EpsilonNet(**state)
    readout = coverings.evaluate(**state)
    picture = encode(coverings.still_figure(**state))
    alt = coverings.describe(state["radius"], readout)
    return Still("epsilon_net", state, picture, alt, readable={"readout": readout})


def sample_calculator(
    m: int = 100, lipschitz: float = 10.0, epsilon: float = 0.1, failure: float = 0.01
) -> SampleCalculator | Still:
    """How many samples fool all critics of `m` parameters at once: the bound, with sliders.

    The state is in the arguments' names, the numbers in `readout`: see
    `gan_course.widgets.bounds.evaluate` and `gan_course.ipm.samples_needed`.

    Parameters
    ----------
    m
        Number of parameters, up to a million.
    lipschitz
        Lipschitz constant of a critic's value in its parameters, from 0.1 to 10 000.
    epsilon
        Largest gap, from 0.01 to 1.
    failure
        Probability that a sample may be bad, from 1e-50 to 0.5.

    Raises
    ------
    ValueError
        Where a value is out of its range, or `m` is not an integer.
    """
    state = bounds.checked(m=m, lipschitz=lipschitz, epsilon=epsilon, failure=failure)
    if not is_static():
        from gan_course.widgets.live import SampleCalculator

        return SampleCalculator(**state)
    readout = bounds.evaluate(**state)
    picture = encode(bounds.still_figure(**state))
    alt = bounds.describe(state, readout)
    return Still("sample_calculator", state, picture, alt, readable={"readout": readout})


def birthday_test(
    support: int = 365,
    draws: int = 23,
    heavy: float = 0.0,
    *,
    drawings: int = 100,
    seed: int = 15,
) -> BirthdayTest | Still:
    r"""The birthday test on a known law: colliding pairs, and the effective support they tell.

    With probability `heavy` a draw is one fixed value, else all values are equally likely. Among
    `draws` of them, pairs of equal values are counted (Arora et al., 2018), in one drawing and in
    many. The state is in the arguments' names, the numbers in `readout`: see
    `gan_course.widgets.birthdays.evaluate`.

    Parameters
    ----------
    support
        Number of values, :math:`n`, up to 100 000.
    draws
        Sample size of a drawing, :math:`s`, from 2 to 2000.
    heavy
        Share :math:`h` of the mass that is moved to one value, from 0 to 0.9; the value then has
        probability :math:`h + (1 - h) / n`.
    drawings
        How many there are at first, up to 2000; the last of them is shown.
    seed
        Of the pseudo-random numbers, which are the same in the browser. With 15, there is a
        collision to see in the drawing that is shown first.

    Raises
    ------
    ValueError
        Where a value is out of its range, or not an integer where it must be one.
    """
    state = birthdays.checked(
        support=support, draws=draws, heavy=heavy, drawings=drawings, seed=seed
    )
    if not is_static():
        from gan_course.widgets.live import BirthdayTest

        return BirthdayTest(**state)
    readout = birthdays.evaluate(**state)
    picture = encode(birthdays.still_figure(**state))
    alt = birthdays.describe(state, readout)
    return Still("birthday_test", state, picture, alt, readable={"readout": readout})


def two_clouds(
    data: ArrayLike | None = None,
    generated: ArrayLike | None = None,
    regularizer: str = "gradient penalty",
    strength: float | None = None,
    extension: str = "middle",
) -> TwoClouds | Still:
    r"""Two clouds of points to drag: the exact critic of :math:`W_1`, and a network in training.

    The exact critic comes from an optimal assignment and dual potentials. The network (2-16-16-1,
    tanh) trains in the page, on all points at once. The state is in the arguments' names, `touched`
    says whether a hand has changed it, and `readout` has the exact critic's numbers: see
    `gan_course.widgets.critics.evaluate`.

    Parameters
    ----------
    data, generated
        Equally many points, at most 12, in the square [-2, 2] x [-2, 2].
    regularizer
        Of the network: "none", "clipping" or "gradient penalty" (two-sided, at random places
        between all pairs) with the Wasserstein loss, or "R1" with the minimax loss.
    strength
        The clip constant :math:`c`, from 0.01 to 1, or the penalty's weight :math:`\lambda` or
        :math:`\gamma`, from 0.1 to 100; None is 0.2, 10 or 1. Without a regularizer it is 0.
    extension
        How the exact critic continues off the points: as the "largest" 1-Lipschitz function, or
        as the "middle" of it and the smallest.

    Raises
    ------
    ValueError
        Where a value is not among these.
    """
    state = critics.checked(
        data=data, generated=generated, regularizer=regularizer, strength=strength,
        extension=extension,
    )  # fmt: skip
    if not is_static():
        from gan_course.widgets.live import TwoClouds

        return TwoClouds(**state)
    readout = critics.evaluate(state["data"], state["generated"])
    law = {key: state[key] for key in ("data", "generated", "regularizer", "strength")}
    net = critics.trained(**law)
    drawn = {key: state[key] for key in ("data", "generated", "extension")}
    picture = encode(critics.still_figure(**drawn, net=net))
    found = critics.measured(net, state["data"], state["generated"])
    alt = critics.describe(state, readout["w1"], found)
    return Still("two_clouds", state, picture, alt, readable={"readout": readout})


def delta_features(
    width: int = 10,
    scale: float = 5.0,
    ridge: float = 1e-6,
    *,
    constant: bool = True,
    seed: int = 21,
) -> DeltaFeatures | Still:
    r"""Random features that stand for a delta on the line, added one by one.

    The sum of :math:`\theta_i \tanh(w_i z + b_i)` with the best weights for a standard normal
    latent :math:`Z` (No et al., 2021, Lemma 7): see `gan_course.features.approximate_delta`, whose
    test functions have bandwidth 1 here. Beside it stands a Gaussian bump that is wrong by as much.
    The state is in the arguments' names, the numbers in `readout`: see
    `gan_course.widgets.deltas.evaluate`.

    Parameters
    ----------
    width
        Number of features, :math:`N_g`, from 1 to 60.
    scale
        Standard deviation of :math:`w_i` and :math:`b_i`, from 0.5 to 10.
    ridge
        Adds ``ridge * |theta|^2`` to the squared error, from 1e-8 to 1e-2.
    constant
        Whether the first feature is the constant 1, as in the lemma.
    seed
        Of the features, which are the same in the browser; with more of them, the first stay. In
        the draw 21 the error falls about as in the middle one of many.

    Raises
    ------
    ValueError
        Where a value is out of its range, or not an integer where it must be one.
    """
    state = deltas.checked(width=width, scale=scale, ridge=ridge, constant=constant, seed=seed)
    if not is_static():
        from gan_course.widgets.live import DeltaFeatures

        return DeltaFeatures(**state)
    readout = deltas.evaluate(**state)
    picture = encode(deltas.still_figure(**state))
    alt = deltas.describe(state, readout)
    return Still("delta_features", state, picture, alt, readable={"readout": readout})


def dial(
    draw: Callable[[float, Axes], object],
    *,
    label: str,
    start: float,
    minimum: float,
    maximum: float,
    step: float,
    alt: str = "",
    size: tuple[float, float] = (6.4, 3.6),
) -> Dial | Still:
    """A slider that calls `draw(value, axes)` in a live kernel; a still picture on a page.

    Parameters
    ----------
    draw
        Draws the picture for a value on fresh axes.
    label
        What the slider sets; plain text.
    start, minimum, maximum, step
        The slider's range.
    alt
        Alternative text of the still picture; by default names `label` and `start`.
    size
        Inches.

    Returns
    -------
    Dial or Still
        `.value` is the slider's value, `.touched` whether it was moved since it was made.

    Raises
    ------
    ValueError
        Where `start` is outside the range, or the range or `step` is empty.
    """
    if not minimum < maximum:
        raise ValueError(f"minimum={minimum:g} must be less than maximum={maximum:g}")
    if not minimum <= start <= maximum:
        raise ValueError(f"start={start:g} must lie in [{minimum:g}, {maximum:g}]")
    if not 0 < step <= maximum - minimum:
        raise ValueError(f"step={step:g} must lie in (0, {maximum - minimum:g}]")
    if not is_static():
        from gan_course.widgets.live import Dial

        return Dial(draw, label, start, minimum, maximum, step, size)
    picture = encode(draw_figure(lambda axes: draw(start, axes), size))
    readable = {"value": float(start), "touched": False}
    text = alt or f"The picture at {label} = {start:g}."
    return Still(None, {}, picture, text, note=RUN_ME, readable=readable)
