"""The words that a rule is written with: how each is called, what it means, and which engines have it."""

from dataclasses import dataclass

EVERY = ("llvm", "triton", "torch", "numpy", "jax")
WHOLE = ("torch", "numpy", "jax")
"""Engines that see whole tensors, and so have rows, columns and matrices."""


@dataclass(frozen=True)
class Word:
    """``form``: as it is written. ``engines``: those that have it."""

    name: str
    form: str
    meaning: str
    engines: tuple[str, ...] = EVERY


def _table(rows: str, engines: tuple[str, ...]) -> list[Word]:
    split = (line.split("|") for line in rows.strip().splitlines())
    return [Word(form.partition("(")[0].strip(), form.strip(), meaning.strip(), engines) for form, meaning in split]


WORDS = {
    word.name: word
    for word in [
        *_table(
            """
            sqrt(x)              | square root; NaN below 0
            exp(x)               | e to the x
            log(x)               | natural logarithm; NaN below 0
            tanh(x)              | hyperbolic tangent
            absolute(x)          | size without sign, also abs(x)
            sign(x)              | -1, 0 or 1; NaN of NaN
            isfinite(x)          | false for NaN and both infinities
            maximum(a, b)        | the larger, element by element; NaN if either is
            minimum(a, b)        | the smaller, element by element; NaN if either is
            where(condition, a, b) | a where the condition holds, else b; instead of if
            when(condition, f, g)  | f() where a condition on numbers holds, else g()
            total(x)             | the sum over the tensor; over="all" parameters, over="row", over="column"
            mean(x)              | the mean, over the same
            norm(x)              | the Euclidean norm, over the same
            """,
            EVERY,
        ),
        *_table(
            """
            matrix(x)            | x with all dimensions but the first as one
            shaped(u, x)         | u in the shape of x again
            matmul(a, b)         | product of matrices
            transpose(a)         | a, mirrored
            rows(a)              | how many rows
            columns(a)           | how many columns
            eigh(a)              | eigenvalues, ascending, and eigenvectors of a symmetric matrix
            qr(a)                | the orthogonal factor
            diagonal(a)          | the diagonal, as a vector
            order(d)             | the places that sort a vector, the largest first
            by_columns(a, o)     | the columns in the order o
            by_rows(a, o)        | the rows in the order o
            upper(a)             | a with zeros below the diagonal
            solve_lower(a, b)    | a⁻¹ b for a lower triangular a
            spectral_bound(a)    | at most the largest singular value, and seldom far below
            noise(x, t, seed)    | standard normal numbers of the shape of x, the same on every engine
            """,
            WHOLE,
        ),
    ]
}
STARTS = {
    "zeros": "state that begins at 0: m=zeros; m=zeros(\"exp_avg\") names it in checkpoints",
    "ones": "state that begins at 1",
    "full": "state that begins at a number or a setting: v=full(0.1), v=full(\"eps\")",
    "start": "state that begins as a copy of the parameters",
    "first_gradient": "state that begins as the first gradient",
    "number": "state of one number per tensor, from 0",
}  # fmt: skip
OPERATORS = "+ - * / ** %, comparisons, & | ~ between them, abs(x)"

# What other libraries call it -> how it is written here.
ELSEWHERE = {
    "abs": "abs(x)", "fabs": "abs(x)", "pow": "x ** y", "power": "x ** y", "float_power": "x ** y", "square": "x * x",
    "rsqrt": "1 / sqrt(x)", "reciprocal": "1 / x", "sum": "total(x)", "nansum": "total(x)", "max": "maximum(a, b)",
    "amax": "maximum(a, b)", "fmax": "maximum(a, b)", "min": "minimum(a, b)", "amin": "minimum(a, b)",
    "fmin": "minimum(a, b)", "clip": "minimum(maximum(x, low), high)", "clamp": "minimum(maximum(x, low), high)",
    "clamp_min": "maximum(x, low)", "clamp_max": "minimum(x, high)", "relu": "maximum(x, 0.0)",
    "sigmoid": "1 / (1 + exp(-x))", "lerp": "a + weight * (b - a)", "zeros_like": "0 * x", "ones_like": "0 * x + 1",
    "full_like": "0 * x + number", "add": "a + b", "sub": "a - b", "subtract": "a - b", "mul": "a * b",
    "multiply": "a * b", "div": "a / b", "divide": "a / b", "true_divide": "a / b", "neg": "-x", "negative": "-x",
    "greater": "a > b", "gt": "a > b", "less": "a < b", "lt": "a < b", "greater_equal": "a >= b", "ge": "a >= b",
    "less_equal": "a <= b", "le": "a <= b", "equal": "a == b", "eq": "a == b", "logical_and": "a & b",
    "logical_or": "a | b", "logical_not": "~a", "isnan": "x != x", "isinf": "abs(x) == float('inf')",
    "dot": "total(a * b)", "vdot": "total(a * b)", "inner": "total(a * b)", "average": "mean(x)", "mm": "matmul(a, b)",
    "T": "transpose(x)", "mT": "transpose(x)", "t": "transpose(x)", "sgn": "sign(x)", "triu": "upper(a)",
    "argsort": "order(d)", "size": "rows(x) and columns(x)", "shape": "rows(x) and columns(x)",
    "randn": "noise(x, t, seed)", "normal": "noise(x, t, seed)", "randn_like": "noise(x, t, seed)",
    "zero": "0 * x", "grad": "g, the gradient",
    **dict.fromkeys(("data", "clone", "copy", "detach", "contiguous", "item", "cpu", "cuda", "numpy", "to", "float",
                     "double", "half", "astype", "tolist", "values", "value"), "the value itself"),
    "flatten": "matrix(x)", "reshape": "matrix(x), and shaped(u, x) back", "view": "matrix(x), and shaped(u, x) back",
}  # fmt: skip


def listed() -> str:
    """All words in one line, for messages."""
    matrix = [name for name, word in WORDS.items() if word.engines is WHOLE]
    plain = [word.form if name == "where" else name for name, word in WORDS.items() if word.engines is not WHOLE]
    return f"Words: {', '.join(plain)}; of matrices {', '.join(matrix)}; and {OPERATORS} (`descend words`)"


def instead(name: str) -> str:
    """How to write what another library calls ``name``; empty if descend has nothing of the kind."""
    if name in WORDS:
        return f"write {name} from descend (from descend import {name})"
    form = ELSEWHERE.get(name.rstrip("_"), "")
    needed = [word for word in WORDS if f"{word}(" in form]
    return f"write {form}" + (f" (from descend import {', '.join(needed)})" if needed else "") if form else ""
