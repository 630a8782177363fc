"""Pictures that move: with a kernel behind them, and on a page that has none.

`frames`, `two_gaussians`, `moving_mass` and `phase_portrait` are anywidgets, each one ES module
that JupyterLab, Colab and the built page all run. `dial` needs a kernel. With
`GAN_COURSE_STATIC=1`, as while the book is built, each returns a `Still`: HTML with a picture and
the widget's state, and no kernel connection.
"""

from gan_course.widgets.factories import (
    dial,
    frames,
    moving_mass,
    phase_portrait,
    two_gaussians,
)
from gan_course.widgets.gaussians import evaluate
from gan_course.widgets.still import Still

__all__ = ["Still", "dial", "evaluate", "frames", "moving_mass", "phase_portrait", "two_gaussians"]
