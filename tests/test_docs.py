"""Documentation that runs: every Python block is executed, every command named exists, what is printed is printed."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from descend.cli import descend as main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_python_block_runs_and_prints_what_it_says(page, capsys, tmp_path):
    """The blocks of a page run one after the other; a comment behind print(...) is what it must print."""
    code = "".join(blocks(page, "python"))
    path = tmp_path / "page.py"  # in a file, because a rule is read as text
    path.write_text(code, encoding="utf-8")
    exec(compile(code, str(path), "exec"), {"__name__": "page"})
    expected = re.findall(r"^\s*print\(.*?\)\s+# (.*)$", code, re.MULTILINE)
    assert capsys.readouterr().out.split("\n")[:-1] == expected


def test_the_check_of_printed_output_can_fail(tmp_path, capsys):
    page = tmp_path / "lying.md"
    page.write_text("```python\nprint(1 + 1)    # 3\n```\n")
    with pytest.raises(AssertionError):
        test_every_python_block_runs_and_prints_what_it_says(page, capsys, tmp_path)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_every_command_named_exists(page):
    text = page.read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"`?make ([a-z]+)`", text)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target}"
    for verb, rest in set(re.findall(r"`descend ([a-z]+)([^`]*)`", text)):
        shown = CliRunner().invoke(main, [verb, "--help"])
        assert shown.exit_code == 0, f"descend {verb}"
        for option in re.findall(r"--[a-z-]+", rest):
            assert option in shown.output, f"descend {verb} {option}"


def test_every_link_leads_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_readme_is_one_screen():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 80
