"""The README's Python runs, and prints what it says; its links lead somewhere."""

import doctest
import re
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def test_python_prints_what_the_readme_says() -> None:
    result = doctest.testfile(str(README), module_relative=False)
    assert result.attempted >= 6
    assert result.failed == 0


def test_links_lead_to_files() -> None:
    links = re.findall(r"\]\(([^)]+)\)", README.read_text())
    assert len(links) > 6
    assert all((README.parent / link).exists() for link in links)
