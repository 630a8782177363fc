"""Pictures that move: with a kernel behind them, and on a page that has none.

All but `dial`, which needs a kernel, are anywidgets, each one ES module that JupyterLab, Colab and
the built page all run. With `GAN_COURSE_STATIC=1`, as while the book is built, each returns a
`Still`: HTML with a picture and the widget's state, and no kernel connection.
"""

from gan_course.widgets.factories import (
    birthday_test,
    delta_features,
    dial,
    epsilon_net,
    frames,
    moving_mass,
    phase_portrait,
    sample_calculator,
    two_clouds,
    two_gaussians,
)
from gan_course.widgets.gaussians import evaluate
from gan_course.widgets.still import Still

__all__ = [
    "Still",
    "birthday_test",
    "delta_features",
    "dial",
    "epsilon_net",
    "evaluate",
    "frames",
    "moving_mass",
    "phase_portrait",
    "sample_calculator",
    "two_clouds",
    "two_gaussians",
]
