"""The public names: few, said once, and there."""

from __future__ import annotations

import pytest

PUBLIC_NAMES_MAX = 30


def test_the_public_names_are_few_and_there() -> None:
    import bursar

    names = getattr(bursar, "__all__", None)
    if names is None:
        pytest.skip("bursar has no __all__ yet: its surface was NOT checked")
    assert len(names) <= PUBLIC_NAMES_MAX
    assert len(set(names)) == len(names)
    assert [name for name in names if not hasattr(bursar, name)] == []
    assert [name for name in names if name.startswith("_") and name != "__version__"] == []
