"""Documentation that runs: every Python block is executed, every command named exists, what is printed is printed."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from descend.cli import descend as main

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCS = sorted([*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "course").glob("*.md")])
PAGES = [README, *DOCS]
# Texts of rules that `make docs` puts in, which tests/explain/test_generated_docs.py compares with their source.
PUT_IN = re.compile(r"<!-- (?:rule|source|by hand|difference|claim): .*?<!-- end -->", re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PUT_IN.sub("", page.read_text(encoding="utf-8")), re.DOTALL)


def printed(code: str) -> list[str]:
    """What the comments behind print(...) say."""
    return re.findall(r"^\s*print\(.*?\)\s+# (.*)$", code, re.MULTILINE)


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_every_python_block_runs_and_prints_what_it_says(page, capsys, tmp_path, monkeypatch):
    """The blocks of a page run one after the other; a comment behind print(...) is what it must print."""
    monkeypatch.chdir(tmp_path)
    code = "".join(blocks(page, "python"))
    path = tmp_path / "page.py"  # in a file, because a rule is read as text
    path.write_text(code, encoding="utf-8")
    exec(compile(code, str(path), "exec"), {"__name__": "page"})
    assert capsys.readouterr().out.split("\n")[:-1] == printed(code)


@pytest.mark.parametrize("block", range(len(blocks(README, "python"))))
def test_every_python_block_of_the_readme_runs_by_itself(block, tmp_path):
    """A newcomer copies one block into a file: nothing of the blocks before it is there."""
    path = tmp_path / "copied.py"
    path.write_text(blocks(README, "python")[block], encoding="utf-8")
    ran = subprocess.run([sys.executable, "-W", "error", path], capture_output=True, text=True, cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines() == printed(path.read_text(encoding="utf-8"))


def test_every_shell_block_of_the_readme_asks_for_what_there_is():
    """Targets of make and extras of the package; what is installed where is tried by hand."""
    text = "".join(blocks(README, "sh"))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    commands = {line.split()[0] for line in text.splitlines()}
    assert commands == {"make", "pip"}
    assert {"torch"} <= set(re.findall(r"\[([a-z]+)\]", text)) <= set(extras)
    for target in re.findall(r"^make ([a-z]+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target}"


def test_the_check_of_printed_output_can_fail(tmp_path, capsys, monkeypatch):
    page = tmp_path / "lying.md"
    page.write_text("```python\nprint(1 + 1)    # 3\n```\n")
    with pytest.raises(AssertionError):
        test_every_python_block_runs_and_prints_what_it_says(page, capsys, tmp_path, monkeypatch)


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


def test_every_page_is_in_a_table_of_contents():
    """Of the site: it has no page that no list leads to."""
    for listing, pages in (("index.md", "*.md"), ("course/README.md", "course/*.md")):
        text = (ROOT / "docs" / listing).read_text(encoding="utf-8")
        for page in sorted((ROOT / "docs").glob(pages)):
            assert f"({page.name}" in text or listing.endswith(page.name), f"docs/{listing} has no link to {page.name}"


def test_every_link_leads_somewhere():
    for page in PAGES:
        for target, heading in re.findall(r"\]\(([^)#]+)#?([^)]*)\)", page.read_text(encoding="utf-8")):
            found = page.parent / target
            assert found.exists(), f"{page.name}: {target}"
            if heading:
                text = found.read_text(encoding="utf-8")
                titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
                slugs = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
                assert heading in slugs, f"{page.name}: {target} has no heading {heading}"


def test_the_readme_is_two_screens():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 110
