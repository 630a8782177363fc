"""Makes the book's extension and `page` importable, and builds of small books reliable."""

import gc
import sys
import weakref
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "book" / "_ext")]


@pytest.fixture(autouse=True)
def no_dead_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """sphinx-external-toc asks every object for its class, and a proxy of a dead one raises."""
    objects = gc.get_objects
    proxies = (weakref.ProxyType, weakref.CallableProxyType)
    monkeypatch.setattr(gc, "get_objects", lambda: [x for x in objects() if type(x) not in proxies])
