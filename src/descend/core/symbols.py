"""The one table of signs: how the names in a rule's text are written, and what they stand for."""

from __future__ import annotations

from dataclasses import dataclass

GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "eps": "ε", "epsilon": "ε", "zeta": "ζ",
    "eta": "η", "theta": "θ", "kappa": "κ", "mu": "μ", "nu": "ν", "xi": "ξ", "rho": "ρ", "sigma": "σ",
    "tau": "τ", "phi": "φ", "psi": "ψ", "omega": "ω",
}  # fmt: skip
# Names that have a letter of their own in papers. `lr` stays `lr`: it is what the reader will type.
LETTER = {"momentum": "μ", "weight_decay": "λ", "lambd": "λ", "lam": "λ"}
LATEX = {
    "α": r"\alpha", "β": r"\beta", "γ": r"\gamma", "δ": r"\delta", "ε": r"\varepsilon", "ζ": r"\zeta",
    "η": r"\eta", "θ": r"\theta", "κ": r"\kappa", "λ": r"\lambda", "μ": r"\mu", "ν": r"\nu", "ξ": r"\xi",
    "ρ": r"\rho", "σ": r"\sigma", "τ": r"\tau", "φ": r"\varphi", "ψ": r"\psi", "ω": r"\omega", "∞": r"\infty",
}  # fmt: skip
ACCENT = {"hat": "\u0302", "bar": "\u0304", "tilde": "\u0303"}
SUBSCRIPT = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
SUPERSCRIPT = str.maketrans("0123456789-tkn", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻ᵗᵏⁿ")


@dataclass(frozen=True)
class Glyph:
    """A name as it is drawn: a letter or a word, what stands below it, what stands on it."""

    base: str
    below: tuple[str, ...] = ()
    accent: str = ""  # "hat", "bar", "tilde"

    @property
    def is_word(self) -> bool:
        return len(self.base) > 1


def glyph(name: str) -> Glyph:
    """``beta1`` is β with 1 below, ``m_hat`` an m with a hat, ``max_norm`` stays a word."""
    if name in LETTER:
        return Glyph(LETTER[name])
    head, *below = name.split("_")
    letters = head.rstrip("0123456789")
    base = LETTER.get(letters) or GREEK.get(letters) or letters
    if (len(base) != 1 and base != "lr") or not all(below):
        return Glyph(name)
    accent = below.pop() if below and below[-1] in ACCENT and len(base) == 1 else ""
    if digits := head[len(letters) :]:
        below.insert(0, digits)
    return Glyph(base, tuple({"inf": "∞"}.get(word) or GREEK.get(word, word) for word in below), accent)


# What a state slot holds, by its name in checkpoints, which means the same in every rule.
STATE = {
    "exp_avg": "average of the gradients (first moment)",
    "exp_avg_sq": "average of the squared gradients (second moment)",
    "max_exp_avg_sq": "largest second moment so far",
    "exp_inf": "largest gradient so far, fading",
    "exp_avg_slow": "slow average of the gradients",
    "exp_avg_diff": "average of the gradients' changes",
    "momentum_buffer": "fading sum of the past",
    "velocity": "velocity: the last step",
    "sum": "sum of the squared gradients",
    "square_avg": "average of the squared gradients",
    "grad_avg": "average of the gradients",
    "acc_delta": "average of the squared steps",
    "prev": "gradient of the step before",
    "g_prev": "gradient of the step before",
    "previous_grad": "gradient of the step before",
    "step_size": "step length of each parameter",
    "mu_product": "product of the momentum factors so far",
    "ax": "average of the points",
    "row_var": "second moment of each row",
    "col_var": "second moment of each column",
    "variance": "second moment, where there are no rows and columns",
}

MEANING = {
    "p": "the parameters",
    "q": "the parameters after the rule's step",
    "g": "the gradient",
    "t": "the step, counted from 1",
    "lr": "learning rate",
    "beta": "share of the past in the average",
    "beta1": "share of the past in the first average",
    "beta2": "share of the past in the second average",
    "beta3": "share of the past in the third average",
    "alpha": "share of the past in the average",
    "rho": "share of the past in the average",
    "momentum": "how much of the last step is kept",
    "dampening": "how much of a new gradient is left out",
    "eps": "keeps the division away from zero",
    "weight_decay": "pull towards zero",
    "lr_decay": "how fast the learning rate falls",
    "initial_accumulator_value": "where the sum starts",
    "max_norm": "longest gradient that is let through",
    "max_value": "largest coordinate that is let through",
    "momentum_decay": "how fast the momentum rises",
    "trust_coefficient": "step length as a share of the weights' norm",
    "eta_minus": "factor where the sign turned",
    "eta_plus": "factor where the sign stayed",
    "step_min": "shortest step",
    "step_max": "longest step",
    "l1": "pull that sets small parameters to zero",
    "l2": "pull in proportion to the parameter",
    "warmup_steps": "steps until the full learning rate",
    "precondition_frequency": "steps between two new bases",
    "clip_threshold": "longest update that is let through",
}
