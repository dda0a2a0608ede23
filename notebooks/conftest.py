"""nbval compares what pictures say, not their pixels: those differ with matplotlib's version."""

from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """What nbval leaves out is in ``nbval.cfg``."""
    config.option.nbval_sanitize_with = str(Path(__file__).with_name("nbval.cfg"))
