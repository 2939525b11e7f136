"""Every two rules: verdicts from the same paired runs, the false coverage rate kept, tuning noise in what is behind."""

import math
import random
from itertools import combinations

import numpy as np
import pytest
from lab_samples import ran, record

from descend import rules
from descend.lab.race.protocol import tuning
from descend.lab.race.protocol.pairs import Judge, Pair
from descend.lab.race.protocol.sequential import looks
from descend.lab.race.protocol.standing import compare
from descend.lab.race.protocol.tuning import Rate, bagged, choose, resamples
from descend.lab.race.race import Config
from descend.lab.race.results import results
from descend.lab.race.space import enter
from descend.lab.race.verdict import summary, verdict

PLAN = looks(80)


def judge(known: dict | None = None) -> Judge:
    return Judge(PLAN, 0.02, False, {}, known or {})


def test_pairs_by_hand_and_known_verdicts_stand():
    base = [1 + 0.01 * (-1) ** k for k in range(80)]
    losses = {"a": base, "b": [x + 0.001 for x in base], "c": [1.2 * x for x in base]}
    found = judge().of(losses)
    assert {pair: said.standing for pair, said in found.items()} == {
        ("a", "b"): "equal", ("a", "c"): "better", ("b", "c"): "better"
    }  # fmt: skip
    assert found["a", "c"].turned == "behind"
    assert found["a", "c"].n == PLAN[0], "the first look that decides"
    assert found["a", "c"].relative[0] == pytest.approx(-1 / 6, abs=1e-3)
    stands = Pair("undecided", 8, None, 1.0)
    assert judge({("c", "a"): stands}).of(losses)["c", "a"] is stands
    assert len(judge({("c", "a"): stands}).of(losses)) == 3


def test_of_the_verdicts_given_few_are_wrong():
    """Eight rules, seven of them the same and one far off: of all verdicts a twentieth is wrong at most, on average."""
    rng, shares = np.random.default_rng(2), []
    for _ in range(60):
        losses = {f"r{k}": list(1 + 0.05 * rng.standard_normal(41) + 0.1 * (k == 0)) for k in range(8)}
        found = Judge(looks(41), 0.02, False, {}, {}).of(losses)
        said = {pair: one.standing for pair, one in found.items()}
        wrong = sum(word in ("better", "behind") for pair, word in said.items() if "r0" not in pair)
        wrong += sum(word in ("better", "equal") for pair, word in said.items() if pair[0] == "r0")
        given = sum(word != "undecided" for word in said.values())
        assert given >= 5
        shares.append(wrong / given)
    assert np.mean(shares) < 0.05


def test_the_level_grows_with_what_is_decided():
    """Where all pairs but one are far apart, the last is held at nearly 5 %, not at Bonferroni's."""
    rng = np.random.default_rng(0)
    apart = {f"r{k}": list((1 + k) * (1 + 0.001 * rng.standard_normal(80))) for k in range(7)}
    shift = 0.0155 * rng.standard_normal(80)
    shift += 0.004 - shift.mean()
    near = {**apart, "s": [x + y for x, y in zip(apart["r0"], shift, strict=True)]}
    alone = compare(near["r0"], near["s"], PLAN, 0.05 / 28, 0.02)
    assert alone[0] == "equal" or alone[1] is not None
    found = judge().of(near)
    assert sum(one.standing != "undecided" for one in found.values()) >= 27


def losses_of(config: Config, **scale: float):
    entries = {name: enter(rules.all()[name]) for name in scale}
    best = {name: tuning.rounded(10 ** (tuning.half_decade(entry.usual_lr) / 2)) for name, entry in entries.items()}

    def loss(trial):
        noise = random.Random(f"{trial.rule} {trial.seed}").gauss(0, 0.03)
        return scale[trial.rule] * 0.1 * (1 + math.log10(trial.lr / best[trial.rule]) ** 2) * (1 + noise)

    return list(entries.values()), loss


def test_the_race_goes_on_for_pairs_and_leaves_the_verdict_against_the_leader():
    scale = {"adam": 1.0, "lion": 1.5, "rmsprop": 1.53}
    runs, found = {}, {}
    for pairs in (False, True):
        config = Config(tuple(scale), seeds=80, pairs=pairs)
        entries, loss = losses_of(config, **scale)
        runs[pairs] = ran(config, entries, loss)
        from descend.lab.race.protocol.stages import Stages

        stages = Stages(config, entries, runs[pairs], {})
        assert stages.next() is None
        found[pairs] = stages
    assert runs[False].keys() < runs[True].keys()
    assert found[False].standings == found[True].standings
    assert found[False].pairs["lion", "rmsprop"].standing == "undecided"
    assert found[True].pairs["lion", "rmsprop"].n > found[False].pairs["lion", "rmsprop"].n
    only = {t.rule for t in runs[True].keys() - runs[False].keys()}
    assert only == {"lion", "rmsprop"}
    assert set(map(frozenset, found[True].pairs)) == set(map(frozenset, combinations(scale, 2)))


def test_pairs_are_told():
    sample = record({"adam": [0.1, 0.11] * 4, "lion": [0.2, 0.22] * 4, "rmsprop": [0.4, 0.1] * 4})
    found = results(sample)
    said = verdict(sample, found)
    assert any(sentence.startswith("Of 3 pairs of rules 1 are decided; not yet:") for sentence in said)
    rows = summary(sample, found)["pairs"]
    assert len(rows) == 3
    assert {row["standing"] for row in rows} == {"behind", "undecided"}
    assert found.pair("adam", "lion")[0] == "better"
    assert found.pair("lion", "adam")[0] == "behind"


# the choice of a rate, and what it is worth


def bowl(x: float, seed: int, sharp: float = 1.0, noise: float = 0.05) -> float:
    draw = random.Random(f"{x} {seed}")
    return math.exp(sharp * x**2 + draw.gauss(0, noise))


def rates(first: int = 0, seeds: int = 5, **shape: float) -> tuple[Rate, ...]:
    return tuple(Rate(10**x, tuple(bowl(x - 0.1, first + k, **shape) for k in range(seeds))) for x in tuning.NEAR)


def test_resamples_are_all_there_with_their_probabilities():
    for n in (1, 2, 5):
        found = resamples(n)
        assert sum(weight for _, weight in found) == pytest.approx(1)
        assert len(found) == math.comb(2 * n - 1, n)
    assert dict(resamples(2)) == {(0, 0): 0.25, (0, 1): 0.5, (1, 1): 0.25}
    assert sum(weight for _, weight in resamples(9)) == pytest.approx(1)


def test_without_noise_the_bagged_rate_is_the_chosen_one():
    found = bagged(rates(noise=0.0))
    assert found.lr == choose(rates(noise=0.0)).lr == pytest.approx(10**0.1, rel=1e-2)
    assert (found.deviation, found.doubt) == (pytest.approx(0, abs=1e-12), 0)


def test_the_deviation_is_that_of_other_seeds():
    """Over 200 sets of tuning seeds the bagged rate varies as it says."""
    found = [bagged(rates(10 * k, noise=0.1)) for k in range(200)]
    spread = np.std([math.log10(one.lr) for one in found])
    assert np.sqrt(np.mean([one.deviation**2 for one in found])) == pytest.approx(spread, rel=0.35)


def test_where_the_plain_choice_jumps_the_bagged_one_does_not():
    """An optimum so sharp that two rates at most come near it: no parabola, and the better of two is chosen."""
    sets = [rates(10 * k, sharp=9.0, noise=0.3) for k in range(100)]
    plain, mean = (np.std([math.log10(how(some).lr) for some in sets]) for how in (choose, bagged))
    assert mean < 0.85 * plain


def test_noisier_seeds_leave_more_doubt():
    quiet, loud = (np.mean([bagged(rates(10 * k, noise=x)).doubt for k in range(20)]) for x in (0.03, 0.3))
    assert loud > 3 * quiet > 0


def test_what_tuning_explains_is_not_behind_and_equal_is_at_the_rates_chosen():
    base = [1 + 0.01 * (-1) ** k for k in range(8)]
    worse = [x + 0.05 + 0.003 * (-1) ** (k // 2) for k, x in enumerate(base)]
    assert compare(worse, base, (8,), 0.05, 0.02)[0] == "behind"
    said, between, _ = compare(worse, base, (8,), 0.05, 0.02, doubts=(0.03, 0.03))
    assert said == "undecided"
    assert between.low < 0 < between.high
    assert between.high - between.mean >= 1.96 * 0.03 * math.sqrt(2) * 1.02
    assert compare(base, [*base[:-1], 1.0], (8,), 0.05, 0.02, doubts=(0.3, 0.3))[0] == "equal"
