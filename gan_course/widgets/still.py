"""What a widget is on a page without a kernel: a picture, its state, and no connection."""

from __future__ import annotations

import html
import json
from typing import Any

from gan_course.widgets.pictures import Picture


class Still:
    """A widget as HTML; its state can be read, so that cells below it run as they would live.

    Parameters
    ----------
    module
        Name of the ES module that brings the picture to life, or None where only a kernel could.
    state
        The module's traits, as plain JSON values.
    picture
        What is seen where scripts are off.
    alt
        Alternative text of `picture`.
    note
        A line below the picture.
    readable
        Further attributes of the object, which the module does not need.
    """

    def __init__(
        self,
        module: str | None,
        state: dict[str, Any],
        picture: Picture,
        alt: str,
        *,
        note: str = "",
        readable: dict[str, Any] | None = None,
    ) -> None:
        self._module, self._state, self._picture = module, state, picture
        self._alt, self._note, self._readable = alt, note, readable or {}

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_"):
            for values in (self._state, self._readable):
                if name in values:
                    return values[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/html": self._html(), "text/plain": self._alt}

    def _html(self) -> str:
        picture = self._picture
        image = (
            f'<img src="{picture.url}" width="{picture.width}" height="{picture.height}" '
            f'alt="{html.escape(self._alt)}">'
        )
        note = f'<p class="gc-note">{html.escape(self._note)}</p>' if self._note else ""
        if self._module is None:
            return f'<div class="gc-still">{image}{note}</div>'
        state = json.dumps(self._state, sort_keys=True).replace("</", "<\\/")
        return (
            f'<div class="gc-widget" data-module="{self._module}">'
            f'<div class="gc-still">{image}{note}</div>'
            f'<script type="application/json">{state}</script></div>'
        )
