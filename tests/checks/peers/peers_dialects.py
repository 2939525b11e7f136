"""Where a peer computes something else: the lines of our rule to change, and then it computes what the peer does.

``DIALECTS``: (rule, peer) -> pairs of a text in the rule as it is written and what the peer has in its place.
"""

from peers import CURVATURE, whole

from descend import chain, rules
from descend.core import ops
from descend.core.init import full
from descend.core.rule import Rule

Edits = tuple[tuple[str, str], ...]

EPS_BEFORE_CORRECTION = (("(sqrt(v) / sqrt(1 - beta2**t) + eps)", "((sqrt(v + 1e-15) + eps) / sqrt(1 - beta2**t))"),)
OPTAX_NADAM = (
    (
        "ahead = mu_next / (1 - mu_product * mu_next) * m + (1 - mu) / (1 - mu_product) * g",
        "ahead = beta1 / (1 - beta1 ** (t + 1)) * m + (1 - beta1) / (1 - beta1**t) * g",
    ),
)
# pytorch_optimizer's coefficients are for eight steps; it takes the first five.
FIVE_OF_EIGHT = (
    (8.237312490495555, -23.157747414558198, 16.680568411445915),
    (4.082441999064835, -2.893047735332586, 0.5252849256975648),
    (3.9263479922546582, -2.8547468034765298, 0.5318022422894988),
    (3.2982187133085143, -2.424541981026706, 0.48632008358844075),
    (2.2970369434552573, -1.63662558125903, 0.4002628455953627),
)
YOGI = (('m=zeros("exp_avg")', 'm=full("initial_accumulator")("exp_avg")'),)
LATE = "lr * minimum(1.0, (t - 1) / maximum(warmup_steps, 1.0))"
OLD_DENOMINATOR = (
    ("    decay = sqrt(beta2)\n", "    decay, old = sqrt(beta2), v\n"),
    ("g * s / (sqrt(v) + eps)", "g * s / (sqrt(old) + eps)"),
)
NEW_ESTIMATE = (
    ("    p = p - lr * d * m / (sqrt(v) + d * eps)\n", "    rate = lr * d\n"),
    ("    return p,", "    p = p - rate * m / (sqrt(v) + d * eps)\n    return p,"),
)
OPTAX_ADAFACTOR = (
    (
        "    p = _adafactor_step(p, g, v, t, lr, eps1, eps2, d, weight_decay)",
        "    u = g / sqrt(v)\n"
        "    u = u / maximum(1.0, _root_mean_square(u) / d)\n"
        "    p = p - maximum(eps2, _root_mean_square(p)) * lr * u - weight_decay * p",
    ),
)
PO_ADAFACTOR = (
    (
        "    p = _adafactor_step(p, g, v, t, lr, eps1, eps2, d, weight_decay)",
        "    u = g / sqrt(v)\n"
        "    u = u / maximum(1.0, _root_mean_square(u) / d)\n"
        "    size = maximum(eps2, _root_mean_square(p)) * minimum(lr, 1 / sqrt(t))\n"
        "    p = (1 - size * weight_decay) * p - size * u",
    ),
)
WHOLE_SQUARES = (("(1 - beta2) * g * g", "(1 - beta2) * (g * g + eps1)"),)
FACTORED_SQUARES = (
    ('mean(g * g, over="row")', 'mean(g * g + eps1, over="row")'),
    ('mean(g * g, over="column")', 'mean(g * g + eps1, over="column")'),
    ('maximum(mean(r, over="column"), eps1)', 'mean(r, over="column")'),
)
# Sophia is fed an estimate of the Hessian: pytorch_optimizer before its step, optax after it.
FED: dict[tuple[str, str], Edits] = {
    ("sophia", "pytorch_optimizer"): (('h=zeros("hessian")', f'h=full({CURVATURE})("hessian")'),),
    ("sophia", "optax"): (("return p, m, h", f"return p, m, 0 * h + {CURVATURE}"),),
}
# Pairs with no edits: only the type differs in which the peer calculates.
DIALECTS: dict[tuple[str, str], Edits] = {
    ("rprop", "optax"): (
        ("p = where(lr > 0, p - sign(g) * step, p)", "p = p - where(turned < 0, 0.0, g_prev)"),
        ("g_prev = g\n", "g_prev = sign(g) * step\n"),
    ),
    ("amsgrad", "optax"): (
        ("maximum(v_max, v)", "maximum(v_max, v / (1 - beta2**t))"),
        ("sqrt(v_max) / sqrt(1 - beta2**t)", "sqrt(v_max)"),
    ),
    ("nadam", "optax"): OPTAX_NADAM,
    ("nadamw", "optax"): OPTAX_NADAM,
    ("radam", "optax"): ((", beta2, t, eps)", ", beta2, t, eps * sqrt(1 - beta2**t))"),),
    ("yogi", "optax"): YOGI,
    ("yogi", "pytorch_optimizer"): YOGI,
    ("laprop", "pytorch_optimizer"): EPS_BEFORE_CORRECTION,
    ("adopt", "pytorch_optimizer"): (("maximum(t - 1, 0.0) ** 0.25", "where(t > 1, t**0.25, 0.0)"),),
    ("adan", "optax"): (
        ("(g + beta2 * change)", "(g + (1 - beta2) * change)"),
        ("beta2 * (d / (1 - beta2**t))", "(1 - beta2) * (d / (1 - beta2**t))"),
        ("(p - lr * step) / (1 + lr * weight_decay)", "p - lr * (step + weight_decay * p)"),
    ),
    ("mars", "pytorch_optimizer"): (
        ('first_gradient("previous_grad")', 'full(0.0)("previous_grad")'),
        *EPS_BEFORE_CORRECTION,
    ),
    ("sophia", "optax"): (
        ("*, lr=", "*, t, lr="),
        ("m / maximum(rho * h, eps)", "m / (1 - beta1**t) / maximum(rho * h, eps)"),
    ),
    ("lars", "optax"): (
        ("(norm(g) > 0)", "(norm(g + weight_decay * p) > 0)"),
        ("(norm(g) + weight_decay * norm(p))", "norm(g + weight_decay * p)"),
    ),
    ("lars", "pytorch_optimizer"): (
        ("(norm(p) > 0) & (norm(g) > 0)", "norm(p) > 0"),
    ),
    ("lars", "pytorch_optimizer, vectors"): (("ratio * (g + weight_decay * p)", "g"),),
    ("lamb", "pytorch_optimizer"): (
        ("m / (1 - beta1**t) / (sqrt(v) / sqrt(1 - beta2**t) + eps)", "m / (sqrt(v) + eps)"),
        ("norm(p) / norm(u)", "minimum(norm(p), 10.0) / (norm(u) + eps)"),
        ("lr * ratio * u", "lr / (1 - beta1**t) * ratio * u"),
    ),
    ("adafactor", "optax"): (*FACTORED_SQUARES, *OPTAX_ADAFACTOR),
    ("adafactor_vector", "optax"): (*WHOLE_SQUARES, *OPTAX_ADAFACTOR),
    ("adafactor", "pytorch_optimizer"): (*FACTORED_SQUARES, *PO_ADAFACTOR),
    ("adafactor_vector", "pytorch_optimizer"): (*WHOLE_SQUARES, *PO_ADAFACTOR),
    ("muon", "torch"): (),
    ("muon", "pytorch_optimizer"): (),
    ("muon", "optax"): (
        ("*, lr=", "*, t, lr="),
        (
            "momentum * m + (1 - momentum) * g)",
            "momentum * m / (1 - momentum ** (t + 1)) + (1 - momentum) * g / (1 - momentum**t))",
        ),
        ("maximum(norm(ahead), eps)", "(norm(ahead) + eps)"),
        ("rows(step) / columns(step)", "columns(step) / rows(step)"),
    ),
    ("muon_polar_express", "pytorch_optimizer"): (
        ("(1.01 * norm(ahead) + eps), POLAR_EXPRESS", f"maximum(norm(ahead), eps), {FIVE_OF_EIGHT}"),
    ),
    ("normuon", "pytorch_optimizer"): (
        ("(norm(m) + 1e-7)", "maximum(norm(m), 1e-7)"),
        ("where(size > 0, 0.2 * lr * sqrt(rows(z) * columns(z)) / size, 0.0)",
         "0.2 * lr * sqrt(rows(z) * columns(z)) / (size + eps)"),
    ),
    ("soap", "pytorch_optimizer"): (),
    ("dadapt_sgd", "pytorch_optimizer"): (),
    ("schedule_free_sgd", "optax"): (("z - gamma *", f"z - {LATE} *"),),
    ("schedule_free_adamw", "optax"): (("z - gamma *", f"z - {LATE} *"),),
    ("dadapt_adam", "pytorch_optimizer"): OLD_DENOMINATOR,
    ("dadapt_adam", "optax"): (
        *OLD_DENOMINATOR,
        ("r=common, *,\n    lr=", "r=common, *,\n    t, lr="),
        ("    m = ", "    c = lr * sqrt(1 - beta2**t) / (1 - beta1**t)\n    m = "),
        ("d * lr", "d * c"),
        ("total(lr * g", "total(c * g"),
    ),
    ("prodigy", "pytorch_optimizer"): NEW_ESTIMATE,
    ("prodigy", "optax"): (
        ("r=common, *, lr=1.0", "r=common, *, t, lr=1.0"),
        ("    decay = sqrt(beta2)\n", "    decay, lr = sqrt(beta2), lr * sqrt(1 - beta2**t) / (1 - beta1**t)\n"),
        *NEW_ESTIMATE,
    ),
    ("cautious", "pytorch_optimizer"): (
        ("agrees / maximum(mean(agrees), 1e-3)", "agrees * total(0 * agrees + 1) / (total(agrees) + 1)"),
    ),
    ("clip_norm", "optax"): ((" + 1e-6", ""),),
    ("adaptive_clip", "optax"): (('over="row"', 'over="column"'),),
}  # fmt: skip


def changed(rule: Rule, edits: Edits) -> Rule:
    """The rule with other lines.

    Raises:
        AssertionError: the rule has no such line any more.
    """
    source = rule.source
    for old, new in edits:
        assert old in source, f"{rule.name} has no {old!r} any more"
        source = source.replace(old, new)
    space = {**vars(ops), "full": full, **rule.fn.__globals__}
    exec(compile(source, f"<{rule.name} as a peer has it>", "exec"), space)
    made = space[rule.name]
    assert isinstance(made, Rule)
    return made


def as_it_is(name: str, peer: str) -> Rule:
    """The rule; Sophia with the curvature that the peer is fed."""
    return changed(rules.all()[name], FED[name, peer]) if (name, peer) in FED else whole(name)


def as_the_peer_has_it(name: str, peer: str) -> Rule:
    rule = {**rules.all(), **rules.modifiers()}[name]
    made = changed(rule, FED.get((name, peer), ()) + DIALECTS[name, peer])
    return made if made.kind == "rule" else chain(made, rules.gradient_descent)
