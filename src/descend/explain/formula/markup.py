"""Formulas in LaTeX and in presentation MathML, with step indices: m_t is the new value, m_{t−1} the old.

A value that changes twice within a step takes an arrow in place of the second equals sign.
"""

import re
from html import escape

from ...core.rule import Rule
from ...core.symbols import LATEX, glyph
from .print import ATOM, Terminal, split
from .read import formulas
from .tree import Formula, Line, Loop, Name, Tree

INDEX = {"old": "t−1", "now": "t", "": ""}
# Words that LaTeX has a command for; the others stand in \operatorname.
COMMAND = {"max": r"\max", "min": r"\min", "exp": r"\exp", "log": r"\log", "tanh": r"\tanh", "Σ": r"\sum"}
TEX_SIGN = {
    "−": "-", "≤": r"\le", "≥": r"\ge", "≠": r"\ne", "∧": r"\wedge", "\u2228": r"\vee", "¬": r"\neg ",
    "mod": r"\bmod", "×": r"\times", "@": r"\,", "‖": r"\|", "{": r"\{", "}": r"\}",
}  # fmt: skip
TALL = (r"\frac", r"\begin", r"\sqrt", r"\left")


def latex(formula: Formula) -> str:
    """The formula as a LaTeX block for display mode; needs amsmath."""
    return "\\begin{aligned}\n" + " \\\\\n".join(Latex().lines(formula)) + "\n\\end{aligned}"


def mathml(formula: Formula) -> list[str]:
    """The formula as MathML, one ``math`` element per line."""
    start = '<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">'
    return [f"{start}{line}</math>" for line in MathML().lines(formula)]


def picture(rule: Rule) -> str:
    """Title and formula for a notebook; what cannot be read, as of a rule typed at a prompt, is left out."""
    try:
        lines = ["<style>mtd.left { text-align: left; }</style>"]
        lines += [line for part in formulas(rule) for line in mathml(part)]
    except (OSError, SyntaxError, TypeError, ValueError):
        lines = []
    return "".join([f"<p><b>{escape(rule.title or rule.name)}</b></p>", *lines])


class Latex(Terminal):
    """LaTeX with amsmath."""

    flat = False
    multiply, dot, multiply_after_fraction = r"\,", r" \cdot ", r"\,"
    becomes, again, equals = " &= ", r" &\leftarrow ", " &= "

    def line(self, line: Line | Loop) -> list[str]:
        return [] if isinstance(line, Line) and line.alias else super().line(line)

    def indented(self, line: str) -> str:
        return r"& \quad " + line.replace("&", "", 1).strip()

    def leading(self, line: str) -> str:
        return f"& {line}"

    def number(self, value: float) -> str:
        sign, digits, exponent = split(value)
        digits = {"∞": r"\infty", "NaN": r"\mathrm{NaN}"}.get(digits, digits)
        power = "" if exponent is None else f"10^{{{exponent}}}"
        return ("-" if sign else "") + (
            power if digits == "1" and power else digits + power and f"{digits} \\cdot {power}" if power else digits
        )

    def word(self, name: str) -> str:
        return LATEX.get(name) or (name if len(name) == 1 or name.isdigit() else rf"\mathrm{{{_escaped(name)}}}")

    def name(self, x: Name) -> str:
        g = glyph(x.base)
        index = INDEX[x.when].replace("−", "-")
        base = rf"\{g.accent}{{{self.word(g.base)}}}" if g.accent else self.word(g.base)
        below = ",".join([*(self.word(w) for w in g.below), *([index] if index else [])])
        return base + ("" if not below else f"_{below}" if len(below) == 1 else f"_{{{below}}}")

    def raw(self, code: str) -> str:
        return rf"\text{{{_escaped(code)}}}"

    def fence(self, left: str, inside: str, right: str) -> str:
        left, right = (TEX_SIGN.get(x, x) for x in (left, right))
        return rf"\left{left}{inside}\right{right}" if any(x in inside for x in TALL) else left + inside + right

    def sign(self, sign: str) -> str:
        return TEX_SIGN.get(sign, sign)

    def spaced(self, sign: str) -> str:
        return f" {self.sign(sign)} " if sign != "@" else self.multiply

    def keyword(self, name: str, value: Tree) -> str:
        return f"{self.word(name)} = {self.show(value)}"

    def function(self, name: str) -> str:
        if name == "∇f":
            return r"\nabla f"
        return COMMAND.get(name) or rf"\operatorname{{{_escaped(name.lstrip('_'))}}}"

    def lowered(self, base: str, below: str) -> str:
        return f"{base}_{{{self.word(below)}}}" if below else base

    def raised(self, base: str, above: str) -> str:
        above = r"\top" if above == "ᵀ" else above
        return f"{base}^{above}" if len(above) == 1 or above == r"\top" else f"{base}^{{{above}}}"

    def frac(self, top: Tree, bottom: Tree) -> str:
        return rf"\frac{{{self.show(top)}}}{{{self.show(bottom)}}}"

    def power(self, base: Tree, exponent: Tree) -> str:
        return self.raised(self.show(base, ATOM), self.show(exponent))

    def root(self, x: Tree) -> str:
        return rf"\sqrt{{{self.show(x)}}}"

    def cases(self, branches: list[tuple[str, str]], otherwise: str) -> str:
        rows = [rf"{value} & \text{{if }} {condition}" for value, condition in branches]
        return r"\begin{cases} " + r" \\ ".join([*rows, rf"{otherwise} & \text{{otherwise}}"]) + r" \end{cases}"


def _escaped(name: str) -> str:
    return "".join("\\" + c if c in "_#%&{}$" else r"\^{}" if c == "^" else c for c in name)


class MathML(Latex):
    """Presentation MathML Core, which browsers draw without help."""

    multiply = multiply_after_fraction = '<mo lspace="0" rspace="0.17em">&#x2062;</mo>'  # invisible times
    dot = "<mo>·</mo>"
    becomes, again, equals = "<mo>=</mo>", "<mo>←</mo>", "<mo>=</mo>"

    def indented(self, line: str) -> str:
        return f'<mspace width="1.5em"/>{line}'

    def leading(self, line: str) -> str:
        return line

    def number(self, value: float) -> str:
        sign, digits, exponent = split(value)
        number = f"<mn>{digits}</mn>"
        if exponent is not None:
            minus = self.sign("−" if exponent < 0 else "")
            power = f"<msup><mn>10</mn>{_row(f'{minus}<mn>{abs(exponent)}</mn>')}</msup>"
            number = power if digits == "1" else f"{number}{self.dot}{power}"
        return self.sign(sign) + number

    def word(self, name: str) -> str:
        if name in "+−":
            return f"<mo>{name}</mo>"
        return f"<mn>{name}</mn>" if name.isdigit() else f"<mi>{escape(name)}</mi>"

    def name(self, x: Name) -> str:
        base, below = self.name_parts(x)
        return f"<msub>{base}{below}</msub>" if below else base

    def name_parts(self, x: Name) -> tuple[str, str]:
        g = glyph(x.base)
        base = self.word(g.base)
        if g.accent:
            mark = {"hat": "^", "bar": "¯", "tilde": "~"}[g.accent]
            base = f'<mover accent="true">{base}<mo stretchy="false">{mark}</mo></mover>'
        below = [self.word(w) for w in g.below]
        if x.when:
            below.append("<mi>t</mi>" if x.when == "now" else "<mi>t</mi><mo>−</mo><mn>1</mn>")
        return base, _row("<mo>,</mo>".join(below)) if below else ""

    def raw(self, code: str) -> str:
        return f"<mtext>{escape(code)}</mtext>"

    def fence(self, left: str, inside: str, right: str) -> str:
        return f'<mrow><mo form="prefix">{left}</mo>{inside}<mo form="postfix">{right}</mo></mrow>'

    def sign(self, sign: str) -> str:
        return f'<mo form="prefix">{sign}</mo>' if sign else ""

    def spaced(self, sign: str) -> str:
        return self.multiply if sign == "@" else f"<mo>{escape(sign)}</mo>"

    def listed(self, items: list[str]) -> str:
        return "<mo>,</mo>".join(items)

    def keyword(self, name: str, value: Tree) -> str:
        return self.word(name) + self.equals + self.show(value)

    def function(self, name: str) -> str:
        if name == "∇f":
            return "<mo>∇</mo><mi>f</mi>"
        return (
            "<mo>∑</mo>" if name == "Σ" else f"{self.word(name.lstrip('_'))}<mo>&#x2061;</mo>"
        )  # function application

    def lowered(self, base: str, below: str) -> str:
        return f"<msub>{_row(base)}{self.word(below)}</msub>" if below else base

    def raised(self, base: str, above: str) -> str:
        return f"<msup>{_row(base)}{'<mo>&#x22A4;</mo>' if above == 'ᵀ' else _row(above)}</msup>"

    def frac(self, top: Tree, bottom: Tree) -> str:
        return f"<mfrac>{_row(self.show(top))}{_row(self.show(bottom))}</mfrac>"

    def power(self, base: Tree, exponent: Tree) -> str:
        if isinstance(base, Name) and self.name_parts(base)[1]:
            return f"<msubsup>{''.join(self.name_parts(base))}{_row(self.show(exponent))}</msubsup>"
        return super().power(base, exponent)

    def root(self, x: Tree) -> str:
        return f"<msqrt>{self.show(x)}</msqrt>"

    def cases(self, branches: list[tuple[str, str]], otherwise: str) -> str:
        rows = [(value, f"<mtext>if&#xA0;</mtext>{condition}") for value, condition in branches]
        cell = '<mtd class="left">'  # a style here is refused by pages whose policy allows no inline ones
        cells = "".join(
            f"<mtr>{cell}{value}</mtd>{cell}{condition}</mtd></mtr>"
            for value, condition in [*rows, (otherwise, "<mtext>otherwise</mtext>")]
        )
        return f'<mrow><mo form="prefix">{{</mo><mtable>{cells}</mtable></mrow>'


def _row(inside: str) -> str:
    """One element, as an argument must be."""
    return inside if re.fullmatch(r"<(m[in])>[^<]*</\1>", inside) else f"<mrow>{inside}</mrow>"
