"""Prints formulas: the walk that all notations share, and the notation of the terminal.

The walk decides where parentheses are needed, a notation how a sum, a fraction or a name looks. In
the terminal a line is ``m ← β₁·m + (1 − β₁)·g``: the left side is the new value, and every line sees
what the lines above it have set. The notations of ``formula_markup`` say the same with step indices.
"""

from ...core.symbols import ACCENT, SUBSCRIPT, SUPERSCRIPT, glyph
from .tree import Formula, Helper, Line, Loop, Name, Number, Op, Raw, Tree, parts, unsigned

LOWEST, OR, AND, NOT, COMPARE, SUM, PRODUCT, PREFIX, POWER, ATOM = range(10)
LEVEL = {
    "or": OR, "and": AND, "not": NOT, "compare": COMPARE, "sum": SUM, "neg": SUM, "mod": PRODUCT,
    "product": PRODUCT, "matmul": PRODUCT, "power": POWER, "transpose": POWER,
}  # fmt: skip
LOGIC = ("or", "and", "not", "compare")
BARS = {"absolute": "|", "norm": "‖"}
SIGN = {"and": "∧", "or": "\u2228", "not": "¬", "matmul": "@"}
WORD = {"maximum": "max", "minimum": "min", "total": "Σ"}


def text(formula: Formula) -> list[str]:
    """The formula as lines of Unicode text."""
    return Terminal().lines(formula)


def expression(x: Tree) -> str:
    """One expression as Unicode text."""
    return Terminal().show(x)


def split(value: float) -> tuple[str, str, int | None]:
    """Sign, digits and power of ten of a number: ``("−", "3", -4)``; no power where it reads well without."""
    sign, size = ("−", -value) if value < 0 else ("", value)
    if size == float("inf") or size != size:
        return sign, "∞" if size == size else "NaN", None
    plain = f"{size:.12g}"
    if "e" not in plain:
        return sign, plain, None
    digits, _, exponent = f"{size:.11e}".partition("e")
    return sign, digits.rstrip("0").rstrip("."), int(exponent)


class Terminal:
    """Unicode text on one line."""

    flat = True  # a fraction is written with a slash
    multiply, dot, multiply_after_fraction = "·", "·", " · "
    becomes, again = " ← ", " ← "

    # The walk

    def show(self, x: Tree, at: int = LOWEST) -> str:
        """The text of a tree, in parentheses if it binds less than ``at``."""
        shown = self.bare(x)
        if self.level(x) >= at:
            return shown
        truth = isinstance(x, Op) and x.kind in LOGIC and at >= SUM  # a condition as a number: 1 or 0
        return self.fence("[", shown, "]") if truth else self.fence("(", shown, ")")

    def level(self, x: Tree) -> int:
        """How tightly the text of a tree holds together."""
        if isinstance(x, Number):
            sign, digits, exponent = split(x.value)
            return SUM if sign else ATOM if exponent is None else POWER if digits == "1" else PRODUCT
        if not isinstance(x, Op):
            return ATOM
        if x.kind == "frac":
            return PRODUCT if self.flat else PREFIX
        if x.kind == "cases":
            return ATOM if self.flat else NOT
        return PREFIX if x.word == "sqrt" else LEVEL.get(x.kind, ATOM)

    def bare(self, x: Tree) -> str:
        match x:
            case Number(value):
                return self.number(value)
            case Name():
                return self.name(x)
            case Raw(code):
                return self.raw(code)
            case Op("sum" | "neg"):
                return self.sum(parts("sum", x))
            case Op("product", args):
                return self.product(args)
            case Op("frac", (top, bottom)):
                return self.frac(top, bottom)
            case Op("power", (base, exponent)):
                return self.power(base, exponent)
            case Op("transpose", (base,)):
                return self.raised(self.show(base, ATOM), "ᵀ")
            case Op("not", (a,)):
                shown = self.show(a)
                return self.sign(SIGN["not"]) + (shown if self.level(a) == ATOM else self.fence("(", shown, ")"))
            case Op("compare" | "and" | "or" | "mod" | "matmul", (first, *rest), word):
                level, sign = self.level(x), self.spaced(word or SIGN.get(x.kind, x.kind))
                chained = isinstance(first, Op) and first.kind == x.kind != "compare"
                shown = [self.show(first, level if chained else level + 1)]
                return sign.join(shown + [self.show(a, level + 1) for a in rest])
            case Op("cases", (*pairs, last)):
                shown = [self.show(a) for a in pairs]
                return self.cases(list(zip(shown[1::2], shown[::2], strict=True)), self.show(last))
            case Op("call", (a,), "sqrt"):
                return self.root(a)
            case Op("call", args, word, options):
                keywords = [(k, v) for k, v in options if k != "over"]
                inside = self.listed([self.show(a) for a in args] + [self.keyword(k, v) for k, v in keywords])
                over = next((v.text.strip("'\"") for k, v in options if k == "over" and isinstance(v, Raw)), "")
                over = "" if over == "tensor" else over
                if word in BARS:
                    return self.lowered(self.fence(BARS[word], inside, BARS[word]), over)
                return self.lowered(self.function(WORD.get(word, word)), over) + self.fence("(", inside, ")")
        return self.fence("(", self.listed([self.show(a) for a in x.args]), ")")

    def sum(self, terms: tuple[Tree, ...]) -> str:
        shown = ""
        for i, term in enumerate(terms):
            negative, positive = unsigned(term)
            sign = "−" if negative else "+" if i else ""
            shown += (self.spaced(sign) if i else self.sign(sign)) + self.show(positive, PRODUCT)
        return shown

    def product(self, factors: tuple[Tree, ...]) -> str:
        shown = ""
        for i, factor in enumerate(factors):
            if i:
                before, word = factors[i - 1], all(self.is_word(x) for x in factors[i - 1 : i + 1])
                if isinstance(before, Op) and before.kind == "frac":
                    shown += self.multiply_after_fraction
                else:
                    shown += self.dot if word or isinstance(factor, Number) else self.multiply
            fraction = isinstance(factor, Op) and factor.kind == "frac"
            plain = fraction or (isinstance(factor, Number) and factor.value >= 0)
            shown += self.bare(factor) if plain else self.show(factor, PREFIX)
        return shown

    def is_word(self, x: Tree) -> bool:
        return isinstance(x, Name) and glyph(x.base).is_word

    # The lines

    def lines(self, formula: Formula) -> list[str]:
        """Every line of the formula; the functions it calls stand behind."""
        shown = [x for line in formula.lines for x in self.line(line)]
        return shown + [x for helper in formula.helpers for x in self.helper(helper)]

    def line(self, line: Line | Loop) -> list[str]:
        if isinstance(line, Loop):
            return [self.head(line), *(self.indented(x) for inner in line.lines for x in self.line(inner))]
        if not line.targets:
            return self.show(line.value).split("\n")
        targets = self.listed([self.name(target) for target in line.targets])
        several = parts("tuple", line.value) if len(line.targets) > 1 else (line.value,)
        value = self.listed([self.show(a) for a in several])
        return [targets + (self.again if line.again else self.becomes) + value]

    def head(self, loop: Loop) -> str:
        count = loop.iterable.text.removeprefix("range(").removesuffix(")")
        plain = loop.variables == "_" and f"range({count})" == loop.iterable.text
        return self.leading(self.raw(f"{count} times:" if plain else f"for {loop.variables} in {loop.iterable.text}:"))

    def helper(self, helper: Helper) -> list[str]:
        if not helper.parameters:
            return self.table(self.name(Name(helper.name, helper.name)), parts("tuple", helper.result))
        call = self.function(helper.name) + self.fence("(", self.listed([self.name(x) for x in helper.parameters]), ")")
        inner = [self.indented(x) for line in helper.lines for x in self.line(line)]
        last = call + self.equals + self.show(helper.result)
        return [last] if not inner else [self.leading(call + self.raw(":")), *inner, self.indented(last)]

    def table(self, name: str, rows: tuple[Tree, ...]) -> list[str]:
        """Rows of numbers: each on a line of its own, or one if they are alike."""
        if len(set(rows)) == 1:
            return [name + self.equals + self.number(len(rows)) + self.spaced("×") + self.show(rows[0])]
        return [self.leading(name + self.raw(":")), *(self.indented(self.show(row)) for row in rows)]

    # The notation

    equals = " = "

    def leading(self, line: str) -> str:
        return line

    def indented(self, line: str) -> str:
        return "  " + line

    def number(self, value: float) -> str:
        sign, digits, exponent = split(value)
        if exponent is None:
            return sign + digits
        power = "10" + str(exponent).translate(SUPERSCRIPT)
        return sign + (power if digits == "1" else f"{digits}·{power}")

    def name(self, x: Name) -> str:
        g = glyph(x.name)
        below = "".join(w.translate(SUBSCRIPT) if w.isdigit() or w in "+−" else f"_{w}" for w in g.below)
        return g.base + ACCENT.get(g.accent, "") + below

    def raw(self, code: str) -> str:
        return code

    def fence(self, left: str, inside: str, right: str) -> str:
        return left + inside + right

    def sign(self, sign: str) -> str:
        return sign

    def spaced(self, sign: str) -> str:
        return f" {sign} "

    def listed(self, items: list[str]) -> str:
        return ", ".join(items)

    def keyword(self, name: str, value: Tree) -> str:
        return f"{name} = {self.show(value)}"

    def function(self, name: str) -> str:
        return name.lstrip("_")

    def lowered(self, base: str, below: str) -> str:
        return base + {"": "", "all": "ₐₗₗ"}.get(below, f"_{below}")

    def raised(self, base: str, above: str) -> str:
        return base + above

    def frac(self, top: Tree, bottom: Tree) -> str:
        over = self.bare(top) if isinstance(top, Op) and top.kind == "product" else self.show(top, PREFIX)
        return f"{over} / {self.show(bottom, PREFIX)}"

    def power(self, base: Tree, exponent: Tree) -> str:
        shown = self.show(exponent)
        small = shown in ("t", "k", "n") or (isinstance(exponent, Number) and shown.lstrip("−").isdigit())
        raised = shown.replace("−", "-").translate(SUPERSCRIPT) if small else "^" + self.show(exponent, ATOM)
        return self.show(base, ATOM) + raised

    def root(self, x: Tree) -> str:
        return "√" + self.show(x, ATOM)

    def cases(self, branches: list[tuple[str, str]], otherwise: str) -> str:
        inside = "".join(f"{value} if {condition}, " for value, condition in branches)
        return f"{{{inside}else {otherwise}}}"
