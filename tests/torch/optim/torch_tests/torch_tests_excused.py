"""Where our classes do not do what torch's tests ask of torch's, and why that is meant.

EXCUSED: (check, optimizer, settings, why), the first three as patterns of ``fnmatch``. The check must fail for all
settings that match. WORDS: what torch's refusal says -> what ours of the same type says.
"""

_NUMBERS = (
    "settings are read as numbers before a step, so a tensor of one element is as good as a number, foreach or not"
)

EXCUSED = [
    ("*", "*", "* & differentiable", "a step runs kernels, so differentiable=True is refused when it is made"),
    *(("errors", of, "lr as Tensor doesn't work with foreach*", _NUMBERS) for of in ("Adam", "AdamW")),
    *(("errors", of, "betas?[[]0?] as a Tensor is not supported*", _NUMBERS) for of in ("Adam", "AdamW")),
    ("errors", "Muon", "only support 2D parameters", "vectors are stepped by the rule named for them, see muon_groups"),
]

WORDS = {
    "`fused=True` requires all the params to be floating point Tensors": "fused=True cannot step a tensor on meta",
    "epsilon1 should be >= 0": "Invalid eps value",
    "Invalid eta values: 1.0, 0.5": "Invalid eta values: .1.0, 0.5",
}
