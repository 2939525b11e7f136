"""Readers for the three notations of a formula: printed text back into a number.

Each knows only the rules of its notation (what binds tighter, what a bar or a brace groups) and nothing
of the tree the text was printed from.
"""

import re
from typing import Any
from xml.etree import ElementTree

from descend.core import ops
from descend.core.symbols import SUPERSCRIPT

TRANSPOSED = 0.25  # what a turned matrix of one number is more than itself, so that a lost ᵀ is noticed
REDUCTION = r"_\{\\mathrm\{(all|row|column)\}\}"
PLAIN = {chr(v): chr(k) for k, v in SUPERSCRIPT.items()}


# The terminal: a grammar of its own, one method per level.


class Reader:
    """Reads ``lr·m̂ / (√v̂ + ε)``: · and / from the left, √ takes the next atom, superscripts bind tightest."""

    def __init__(self, text: str, names: dict[str, float], functions: dict[str, Any]) -> None:
        word = "|".join(
            re.escape(x) for x in sorted({*names, *functions, "Σ", "if", "else", "mod"}, key=len, reverse=True)
        )
        pattern = rf"\s+|(?:{word})(?![a-z_])|Σ(?=_)|\d+\.?\d*|ₐₗₗ|_row|_column|[⁰¹²³⁴⁵⁶⁷⁸⁹⁻ᵗᵏⁿ]+|."
        self.tokens = [t for t in re.findall(pattern, text) if t.strip()]
        self.names, self.functions = names, functions

    def peek(self) -> str:
        return self.tokens[0] if self.tokens else ""

    def take(self, *wanted: str) -> str:
        if wanted and self.peek() not in wanted:
            return ""
        return self.tokens.pop(0)

    def need(self, token: str) -> None:
        assert self.take() == token, self.tokens

    def read(self) -> Any:
        value = self.either()
        assert not self.tokens
        return value

    def either(self) -> Any:
        value = self.both()
        while self.take("\u2228"):
            other = self.both()
            value = value or other
        return value

    def both(self) -> Any:
        value = self.comparison()
        while self.take("∧"):
            other = self.comparison()
            value = value and other
        return value

    def comparison(self) -> Any:
        if self.take("¬"):
            return not self.atom()
        a = self.sum()
        sign = self.take("<", "≤", ">", "≥", "=", "≠")
        if not sign:
            return a
        b = self.sum()
        return {"<": a < b, "≤": a <= b, ">": a > b, "≥": a >= b, "=": a == b, "≠": a != b}[sign]

    def sum(self) -> Any:
        value = -self.product() if self.take("−") else self.product()
        while sign := self.take("+", "−"):
            value = value + self.product() if sign == "+" else value - self.product()
        return value

    def product(self) -> Any:
        value = self.prefix()
        while sign := self.take("·", "/", "mod", "@"):
            other = self.prefix()
            value = value * other if sign in "·@" else ops.divide(value, other) if sign == "/" else value % other
        return value

    def prefix(self) -> Any:
        return ops.sqrt(self.atom()) if self.take("√") else self.power()

    def power(self) -> Any:
        base = self.atom()
        if self.take("ᵀ"):
            return base + TRANSPOSED
        if self.take("^"):
            return power(base, self.atom())
        if self.peek() and self.peek()[0] in PLAIN:
            exponent = "".join(PLAIN[c] for c in self.take())
            return power(base, self.names[exponent] if exponent in self.names else float(exponent))
        return base

    def atom(self) -> Any:
        token = self.take()
        if token in "([":
            value = self.either()
            self.need({"(": ")", "[": "]"}[token])
            return value
        if token == "|":
            value = self.sum()
            self.need(token)
            return abs(value)
        if token == "‖":
            value = self.sum()
            self.need(token)
            return self.functions["norm" + self.over()](value)
        if token == "{":
            return self.cases()
        if token in self.names:
            return self.names[token]
        if token in self.functions or token == "Σ":
            token = token.replace("Σ", "total") + self.over()
            self.need("(")
            args = [self.either()]
            while self.take(","):
                args.append(self.either())
            self.need(")")
            return self.functions[token](*args)
        return float(token)

    def over(self) -> str:
        return self.take("ₐₗₗ", "_row", "_column").replace("ₐₗₗ", "_all")

    def cases(self) -> Any:
        branches = []
        while not self.take("else"):
            value = self.either()
            self.need("if")
            branches.append((self.either(), value))
            self.need(",")
        last = self.either()
        self.need("}")
        return next((value for condition, value in branches if condition), last)


def power(base: Any, exponent: Any) -> Any:
    numbers = isinstance(base, float) and isinstance(exponent, float)
    return ops.power(base, exponent) if numbers else base**exponent


def spoken(text: str, names: dict[str, float], functions: dict[str, Any]) -> Any:
    return Reader(text, names, functions).read()


# LaTeX and MathML: turned into Python, whose precedence is that of mathematics.

SIGNS = {
    "−": "-", "≤": "<=", "≥": ">=", "=": "==", "≠": "!=", "∧": " and ", "\u2228": " or ", "¬": " not ",
    "·": "*", "⊤": "turned", "mod": "%", "[": "(", "]": ")", "\u2062": "*", "\u2061": "",
}  # fmt: skip
TEX = {
    r"\left": "", r"\right": "", r"\,": "*", r"\cdot": "*", r"\sum": "total", r"\max": "max", r"\min": "min",
    r"\exp": "exp", r"\log": "log", r"\tanh": "tanh", r"\bmod": "%", r"\le": "<=",
    r"\ge": ">=", r"\ne ": "!= ", r"\wedge": " and ", r"\vee": " or ", r"\neg": " not ", "[": "(", "]": ")",
    " = ": " == ", r"^\top": "**turned",
}  # fmt: skip


class Turned:
    """``x ** turned`` is x transposed: a superscript that binds as superscripts do."""

    __array_ufunc__ = None

    def __rpow__(self, x: Any) -> Any:
        return x + TRANSPOSED


def python(code: str, values: list[float], functions: dict[str, Any]) -> Any:
    scope = {**functions, "divide": ops.divide, "turned": Turned(), **{f"x{i}": v for i, v in enumerate(values)}}
    return eval(code.strip(), {"__builtins__": {}}, scope)


def markup(text: str, names: dict[str, float], functions: dict[str, Any]) -> Any:
    known = {ElementTree.tostring(ElementTree.fromstring(x)): i for i, x in enumerate(names)}

    def code(x: ElementTree.Element) -> str:
        bare = ElementTree.Element(x.tag, x.attrib)
        bare.text, bare[:] = x.text, x[:]
        if (i := known.get(ElementTree.tostring(bare))) is not None:
            return f"x{i}"
        if x.tag == "msubsup":
            base = ElementTree.Element("msub")
            base[:] = x[:2]
            return f"{code(base)}**({code(x[2])})"
        inner = [code(child) for child in x]
        match x.tag:
            case "mfrac":
                return f"divide({inner[0]}, {inner[1]})"
            case "msqrt":
                return f"sqrt({''.join(inner)})"
            case "msup":
                return f"{inner[0]}**({inner[1]})"
            case "msub":  # over what a word is taken
                return re.sub(r"^\w+", lambda m: f"{m[0]}_{inner[1]}", inner[0])
            case "mtable":
                *branches, (last, _) = [[code(cell) for cell in row] for row in x]
                return "".join(f"({v}) if ({c}) else " for v, c in branches) + f"({last})"
            case "mtext":
                return ""
            case "mo" if x.text in ("|", "‖"):
                return {"|": "abs(", "‖": "norm("}[x.text] if x.attrib["form"] == "prefix" else ")"
            case "mo" if x.text == "{":  # nothing closes it: only parentheses tell where the cases end
                return ""
            case "mo":
                return "total" if x.text == "∑" else SIGNS.get(x.text or "", x.text or "")
        return (x.text or "") + "".join(inner)

    return python(code(ElementTree.fromstring(f"<mrow>{text}</mrow>")), list(names.values()), functions)


def tex(text: str, names: dict[str, float], functions: dict[str, Any]) -> Any:
    for i, name in sorted(enumerate(names), key=lambda pair: -len(pair[1])):
        text = re.sub(rf"(?<![a-z\\]){re.escape(name)}(?![a-z_])", f"«{i}»", text)
    text = re.sub(r"\\operatorname\{(\w+)\}", lambda m: m[1], text.replace(r"\_", "_"))
    text = re.sub(REDUCTION, r"_\1", text)
    for sign, said in TEX.items():
        text = text.replace(sign, said)
    group = r"\{([^{}]*)\}"
    before = ""
    while before != text:  # from the innermost braces outwards
        before = text
        text = re.sub(rf"\\frac{group}{group}", r"divide(\1, \2)", text)
        text = re.sub(rf"\\sqrt{group}", r"sqrt(\1)", text)
        text = re.sub(rf"\^{group}|\^(\w|«\d+»)", lambda m: f"**({m[1] or m[2]})", text)
        text = re.sub(r"\\\|([^|\\]*?)\\\|(_\w+)?", lambda m: f"norm{m[2] or ''}({m[1]})", text)
        text = re.sub(r"(?<!\\)\|([^|\\]*?)\|", r"abs(\1)", text)
        text = re.sub(r"\\begin\{cases\}((?:(?!\\begin).)*?)\\end\{cases\}", branches, text)
    return python(re.sub(r"«(\d+)»", r"x\1", text), list(names.values()), functions)


def branches(found: re.Match[str]) -> str:
    *rows, last = [row.split("&") for row in found[1].split(r"\\")]
    conditional = "".join(f"({value}) if ({condition}) else " for value, condition in rows)
    return conditional.replace(r"\text{if }", "") + f"({last[0]})"
