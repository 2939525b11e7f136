"""Colours by name for light and for dark paper, the dashes and the marks that stand beside them, and all of it as CSS.

The eight colours of series are Okabe and Ito's, darkened or lightened until they read on their paper. Series number
k is always `s{k}`: its colour, its dash and its mark say the same, so nothing depends on telling colours apart.
"""

SERIES = tuple(f"s{k}" for k in range(8))
LIGHT = {"paper": "#ffffff", "ink": "#1c1f24", "quiet": "#5d6570", "rule": "#dfe3e8", "wash": "#f5f7f9"} | dict(
    zip(SERIES, ["#0072b2", "#d55e00", "#008a64", "#b0488f", "#a87b00", "#2f9bd6", "#5a5a5a", "#7d4a20"], strict=True)
)
DARK = {"paper": "#15181c", "ink": "#e6e8eb", "quiet": "#9aa3ad", "rule": "#30363d", "wash": "#1d2126"} | dict(
    zip(SERIES, ["#5aa9e6", "#ff8c42", "#3ecf9a", "#e68ac4", "#e6c229", "#a3dcff", "#c9c9c9", "#c89b6d"], strict=True)
)
DASHES = ((), (9, 3), (3, 3), (9, 3, 2, 3), (), (6, 3), (12, 4), (2, 2))
# One closed path per mark, around the origin, about 8 units wide, and matplotlib's name of it.
MARKS = {
    "circle": ("M4 0A4 4 0 1 1 -4 0A4 4 0 1 1 4 0Z", "o"),
    "square": ("M-3.5 -3.5H3.5V3.5H-3.5Z", "s"),
    "up": ("M0 -4.5L4.4 3.5H-4.4Z", "^"),
    "diamond": ("M0 -5L5 0L0 5L-5 0Z", "D"),
    "down": ("M0 4.5L4.4 -3.5H-4.4Z", "v"),
    "plus": ("M-1.5 -4.5H1.5V-1.5H4.5V1.5H1.5V4.5H-1.5V1.5H-4.5V-1.5H-1.5Z", "P"),
    "times": ("M-4.5 -3L-3 -4.5L0 -1.5L3 -4.5L4.5 -3L1.5 0L4.5 3L3 4.5L0 1.5L-3 4.5L-4.5 3L-1.5 0Z", "X"),
    "hexagon": ("M-5 0L-2.5 -4.3H2.5L5 0L2.5 4.3H-2.5Z", "h"),
    "star": ("M0 -5L1.2 -1.6L4.8 -1.5L1.9 .6L2.9 4L0 2L-2.9 4L-1.9 .6L-4.8 -1.5L-1.2 -1.6Z", "*"),
    "cross": ("M-3.5 -3.5L3.5 3.5M-3.5 3.5L3.5 -3.5", "x"),
}
FONT = 'system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif'


def series(k: int) -> str:
    """The colour of series number k."""
    return SERIES[k % 8]


def mark_of(k: int) -> str:
    return list(MARKS)[k % 8]


def dash_of(k: int) -> tuple[int, ...]:
    return DASHES[k % 8]


def variables(where: str) -> str:
    """The colours as CSS variables of what the selector names, light or dark as the reader prefers."""
    light, dark = ("".join(f"--{name}:{value};" for name, value in of.items()) for of in (LIGHT, DARK))
    return f"{where}{{{light}}}@media(prefers-color-scheme:dark){{{where}{{{dark}}}}}"


CHART = "".join((
    ".chart{max-width:100%;height:auto}"
    f".chart text{{font:12px {FONT};fill:var(--quiet);paint-order:stroke;stroke:var(--paper);stroke-width:3px;"
    "stroke-linejoin:round}.chart .name{fill:var(--ink)}.chart .head{font-size:16px;font-weight:600;fill:var(--ink)}"
    ".chart .bold{font-weight:600}.chart .own{fill:var(--c)}.chart .grid{stroke:var(--rule);fill:none}"
    ".chart .line{fill:none;stroke:var(--c);stroke-linejoin:round}.chart .band{fill:var(--c);stroke:none}"
    ".chart .mark{fill:var(--c)}.chart .hollow{fill:var(--paper);stroke:var(--c);stroke-width:1.8}"
    ".chart .cross{fill:none;stroke:var(--c);stroke-width:2.2}.chart .lead{stroke:var(--c);stroke-width:.8;opacity:.6}"
    ".chart .dots{fill:none;stroke:var(--c);stroke-linecap:round}",
    *(f".{name}{{--c:var(--{name})}}" for name in (*SERIES, "ink", "quiet")),
))  # fmt: skip
"""How the parts of a chart look: once on a page, or in each SVG that stands alone."""
