"""The documentation as a site: `make site`. Every page is plain Markdown, and no page asks another host for anything.

Sphinx and Furo, and not MkDocs Material, which is maintained for security only and whose search does not run from disk.
"""

import re
import sys
from pathlib import Path

project = "descend"
extensions = ["myst_parser"]
exclude_patterns = ["Thumbs.db"]
root_doc = "index"
nitpicky = True
highlight_language = "text"
pygments_style, pygments_dark_style = "friendly", "github-dark"
myst_heading_anchors = 4  # headings are linked to as forges name them
html_theme = "furo"
html_title = "descend"
html_show_sourcelink = html_copy_source = html_show_copyright = False
html_show_search_summary = False  # it would fetch each page found, which browsers refuse to a page from disk
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0072b2", "color-brand-content": "#0072b2"},
    "dark_css_variables": {"color-brand-primary": "#5aa9e6", "color-brand-content": "#5aa9e6"},
}

LISTS = ("index", "course/README", "rules/README", "reference/README")
LINK = re.compile(r"\]\(([\w./-]+)\.md(?:#[^)]*)?\)")


def contents(docname: str, text: str) -> str:
    """The tables of contents of a page that lists others: forges show its links, the site makes its sidebar of them."""
    made, seen = [], {docname, "index"}
    for part in re.split(r"^(?=## )", text, flags=re.MULTILINE):
        pages = []
        for link in LINK.findall(part):
            page = (Path("/") / Path(docname).parent / link).resolve().relative_to("/").as_posix()
            mine = docname == "index" or Path(page).parent == Path(docname).parent
            if page not in seen and mine:
                seen.add(page)
                pages.append(f"/{page}")
        caption = re.match(r"## (.*)", part)
        if pages:
            named = f":caption: {caption[1]}\n" if caption and docname == "index" else ""
            made.append("\n```{toctree}\n:hidden:\n" + named + "\n" + "\n".join(pages) + "\n```\n")
    return "".join(made)


def setup(app):
    reference, made = Path(app.srcdir) / "reference", {}
    if reference.is_dir():
        sys.path.insert(0, str(Path(__file__).parent))
        import api

        made = api.pages()
    for page, text in made.items():
        file = reference / f"{page}.md"
        if not file.exists() or file.read_text(encoding="utf-8") != text:  # else Sphinx would read it again
            file.write_text(text, encoding="utf-8")

    def add(app, docname, source):
        if docname in LISTS:
            source[0] += contents(docname, source[0])
        if docname == "reference/README":
            source[0] += "\n```{toctree}\n:hidden:\n\n" + "\n".join(made) + "\n```\n"

    app.connect("source-read", add)
