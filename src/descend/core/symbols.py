"""The one table of signs: how the names in a rule's text are written, and what they stand for."""

from collections.abc import Mapping
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
SUBSCRIPT = str.maketrans("0123456789+−", "₀₁₂₃₄₅₆₇₈₉₊₋")
BELOW = {"inf": "∞", "plus": "+", "minus": "−"}
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
    return Glyph(base, tuple(BELOW.get(word) or GREEK.get(word, word) for word in below), accent)


# What state slots hold, by their names in checkpoints, and what settings do. A name means the same in
# every rule; where it does not, the rule stands before it: "asgd.alpha".
STATE = {
    "exp_avg": "average of the gradients (first moment)",
    "exp_avg_sq": "average of the squared gradients (second moment)",
    "max_exp_avg_sq": "largest second moment so far",
    "exp_avg_var": "average of the squared distance of the gradient from its average",
    "exp_avg_slow": "slow average of the gradients",
    "exp_avg_diff": "average of the gradients' changes",
    "exp_inf": "largest gradient so far, fading",
    "momentum_buffer": "fading sum of the past",
    "velocity": "velocity: the last step",
    "sum": "sum of the squared gradients",
    "square_avg": "average of the squared gradients",
    "grad_avg": "average of the gradients",
    "acc_delta": "average of the squared steps",
    "prev": "gradient of the step before",
    "previous_grad": "gradient of the step before",
    "step_size": "step length of each parameter",
    "mu_product": "product of the momentum factors so far",
    "exp_hessian_diag_sq": "average of the squared curvature",
    "hessian": "estimate of the curvature (diagonal of the Hessian)",
    "ax": "average of the points",
    "eta": "learning rate of the next step",
    "mu": "weight of the next point in the average",
    "z": "the point without averaging",
    "ftrl.z": "sum of the gradients, shifted by the steps taken",
    "n": "sum of the squared gradients",
    "last_lr": "learning rate of the step before",
    "lr_max": "largest learning rate so far",
    "weight_sum": "sum of the weights of the average",
    "p0": "where the parameters started",
    "far": "farthest distance from the start so far",
    "squares": "sum of the squared gradients",
    "dowg.squares": "weighted sum of the squared gradients",
    "g0": "norm of the first gradient",
    "d": "estimated distance to the solution",
    "numerator": "numerator of the estimate d",
    "r": "numerator of the estimate d",
    "s": "weighted sum of the gradients",
    "row_var": "average of the squared gradients",
    "col_var": "average of the squared gradients",
    "variance": "second moment, where there are no rows and columns",
    "exp_avg_sq_row": "average of the squared gradients",
    "exp_avg_sq_col": "average of the squared gradients",
    "normuon.exp_avg_sq_row": "average of the squared directions",
    "exp_avg_res_row": "average of the squared distance of the update from its average",
    "exp_avg_res_col": "average of the squared distance of the update from its average",
    "left": "sum of g @ gᵀ",
    "right": "sum of gᵀ @ g",
    "soap.left": "average of g @ gᵀ",
    "soap.right": "average of gᵀ @ g",
    "left_factor": "triangular factor of the preconditioner, from the left",
    "right_factor": "triangular factor of the preconditioner, from the right",
    "update_counter": "steps since the factors were fitted",
    "left_basis": "eigenvectors of a, the largest first",
    "right_basis": "eigenvectors of b, the largest first",
    "ema": "fading average of the points",
    "swa": "average of the points",
    "slow": "the slow point",
}

MEANING = {
    "p": "the parameters",
    "q": "the parameters after the rule's step",
    "g": "the gradient",
    "t": "the step, counted from 1",
    "shipped": "what to evaluate and ship",
    "lr": "learning rate",
    "beta": "share of the past in the average",
    "beta1": "share of the past in the first average",
    "beta2": "share of the past in the second average",
    "beta3": "share of the past in the third average",
    "alpha": "share of the past in the average",
    "rho": "share of the past in the average",
    "nu": "share of the average in the step",
    "momentum": "how much of the last step is kept",
    "dampening": "how much of a new gradient is left out",
    "eps": "keeps the division away from zero",
    "weight_decay": "pull towards zero",
    "lambd": "pull towards zero",
    "l1": "pull that sets small parameters to zero",
    "l2": "pull in proportion to the parameter",
    "lr_decay": "how fast the learning rate falls",
    "initial_accumulator_value": "where the sum starts",
    "initial_accumulator": "where the second moment starts",
    "max_norm": "longest gradient that is let through",
    "max_value": "largest coordinate that is let through",
    "momentum_decay": "how fast the momentum rises",
    "trust_coefficient": "step length as a share of the norm of the weights",
    "eta_minus": "factor where the sign turned",
    "eta_plus": "factor where the sign stayed",
    "step_min": "shortest step",
    "step_max": "longest step",
    "t0": "step from which on points are averaged",
    "smoothing": "keeps the first steps short",
    "gamma": "how much the change of the gradient counts",
    "d0": "first guess of the distance to the solution",
    "d0_rel": "least estimate of the distance, relative to the root mean square of the tensor at the start",
    "growth_rate": "by how much an estimate of the distance may rise in a step, as a factor",
    "r_eps": "first guess of the distance to the solution",
    "reps_rel": "first guess of the distance, relative to the norm of the parameters",
    "warmup_steps": "steps until the full learning rate",
    "precondition_frequency": "steps between two new bases",
    "precondition_lr": "step length of the factors, relative to their size",
    "update_probability": "share of the steps that fit the factors, in the end",
    "update_decay": "how fast that share falls",
    "update_start": "steps until it begins to fall",
    "seed": "of the random probes",
    "loss_scale": "what the loss was multiplied by",
    "clip_threshold": "longest update that is let through",
    "least": "least share that is made up for",
    "clipping": "longest gradient, as a share of the norm of the weights",
    "decay": "share of the past in the average",
    "begin": "first step whose point is averaged",
    "shampoo_beta": "share of the past in the averages a and b",
    "beta2_decay": "how fast the average of squares grows longer: a power of the step",
    "d": "longest update that is let through (root mean square)",
    "eps1": "keeps the division away from zero",
    "eps2": "least size of the parameters that the step is relative to",
    "came.eps2": "keeps the doubt away from zero",
    "came_vector.eps2": "of no use for vectors",
    "lookahead.k": "fast steps until the slow point moves",
    "lookahead.alpha": "how far the slow point moves towards the fast one",
    "ademamix.alpha": "weight of the slow average",
    "ademamix.beta3": "share of the past in the slow average",
    "asgd.alpha": "how fast the rate falls: a power of the step",
    "sophia.rho": "weight of the curvature",
    "dadapt_sgd.momentum": "share of the old point in the new one",
    "schedule_free_sgd.momentum": "where the gradient is taken: at z (0), at the average (1)",
    "schedule_free_adamw.beta1": "where the gradient is taken: at z (0), at the average (1)",
    "schedule_free_radam.beta1": "where the gradient is taken: at z (0), at the average (1)",
}


# Words that a reader may not know from papers.
WORDS = {
    "matrix": "matrix(x) is x with all dimensions but the first as one",
    "shaped": "shaped(x, p) has the shape of p again",
    "row": "an index row means: of each row",
    "column": "an index column means: of each column",
    "matmul": "@ is the product of matrices, · that of their entries",
    "eigh": "eigh(a) gives eigenvalues and eigenvectors",
    "qr": "qr(a) is the orthogonal factor",
    "order": "order(d) sorts d, the largest first",
    "upper": "upper(a) is a with zeros below the diagonal",
    "solve_lower": "solve_lower(a, b) is a⁻¹ @ b for a triangular a",
    "spectral_bound": "spectral_bound(a) is at most the largest singular value of a, and seldom far below",
    "noise": "noise(x, t, seed) are standard normal numbers of the shape of x",
}


def meaning(name: str, of: str, table: Mapping[str, str]) -> str:
    """What a name stands for in a rule, or in a chain ``a+b``; empty if the table does not know it."""
    special = (table.get(f"{rule}.{name}") for rule in of.split("+"))
    return next((text for text in special if text), table.get(name, ""))
