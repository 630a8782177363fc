"""Helper package of the course on the theory of generative adversarial networks.

Every module is one subject of the course; importing has no side effect. See the docstring of each
module for the definitions and papers that it realizes.
"""

from gan_course.runtime import base_seed, device, pilot_seeds, scale, seeds

__all__ = ["__version__", "base_seed", "device", "pilot_seeds", "scale", "seeds"]
__version__ = "0.1.0"
