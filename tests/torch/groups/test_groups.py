"""Parameter groups: what goes where, with every class, and what is refused."""

import pytest
import torch
from torch import nn

import descend.torch as ours
from descend import schedules
from descend.torch.groups.groups import param_groups


class Net(nn.Module):
    """An embedding, two blocks, a norm and a head; one frozen tensor and one of integers."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 4)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)) for _ in range(2))
        self.norm = nn.LayerNorm(4)
        self.head = nn.Linear(4, 3)
        self.frozen = nn.Parameter(torch.ones(2), requires_grad=False)
        self.table = nn.Parameter(torch.arange(3), requires_grad=False)

    def forward(self, x):
        x = self.embed(x).mean(1)
        for block in self.blocks:
            x = x + block(x)
        return self.head(self.norm(x))


def names(group):
    return [name for name, _ in group["params"]]


def trainable(model):
    return {name for name, p in model.named_parameters() if p.requires_grad}


def test_biases_and_norms_do_not_decay():
    model = Net()
    decayed, spared = param_groups(model, 0.1, show=False)
    assert names(decayed) == ["embed.weight", "blocks.0.0.weight", "blocks.1.0.weight", "head.weight"]
    assert decayed["weight_decay"] == 0.1
    assert spared["weight_decay"] == 0.0
    assert {*names(decayed), *names(spared)} == trainable(model)
    assert all("lr" not in group for group in (decayed, spared))


@pytest.mark.parametrize(
    ("no_decay", "left"),
    [
        ("bias", 7),  # the weights of three norms decay too
        ("1d", 4),
        ("bias+norm+embedding", 3),
        (["norm", "head"], 5),  # the biases of the blocks, and what no word names
        (["*.weight"], 6),
    ],
)
def test_words_and_patterns_of_no_decay(no_decay, left):
    group, *_ = [g for g in param_groups(Net(), 0.1, no_decay=no_decay, show=False) if g["weight_decay"]]
    assert len(group["params"]) == left, names(group)


def test_without_words_there_is_one_group_and_no_word_of_decay():
    (group,) = param_groups(Net(), no_decay=None, show=False)
    assert set(group) == {"params"}


def test_what_the_model_itself_spares_is_spared():
    model = Net()
    model.no_weight_decay = lambda: {"embed.weight"}
    model.head.weight._no_weight_decay = True
    spared, decayed = param_groups(model, 0.1, show=False)
    assert names(decayed) == ["blocks.0.0.weight", "blocks.1.0.weight"]
    assert {"embed.weight", "head.weight"} <= set(names(spared))


def test_factors_of_the_rate_and_the_first_pattern_that_matches():
    groups = param_groups(
        Net(), lr=0.1, no_decay=None, lr_scale={"head.bias": 2, "head": 10, "blocks.*": 0.5}, show=False
    )
    assert {g["lr"]: names(g) for g in groups} == {
        0.1: ["embed.weight", "norm.weight", "norm.bias"],
        0.05: [f"blocks.{i}.{j}.{what}" for i in (0, 1) for j in (0, 1) for what in ("weight", "bias")],
        1.0: ["head.weight"],
        0.2: ["head.bias"],
    }


def test_layer_decay_by_depth_times_a_factor():
    groups = param_groups(Net(), lr=1.0, no_decay=None, layer_decay=0.5, lr_scale={"head": 3}, show=False)
    rate = {name: g["lr"] for g in groups for name in names(g)}
    assert rate["embed.weight"] == 0.125  # embed 0, blocks 1 and 2, norm and head 3
    assert rate["blocks.0.0.weight"] == rate["blocks.0.1.bias"] == 0.25
    assert rate["blocks.1.1.weight"] == 0.5
    assert rate["norm.weight"] == 1.0
    assert rate["head.bias"] == 3.0


def test_a_depth_of_ones_own():
    groups = param_groups(
        Net(), lr=1.0, no_decay=None, layer_decay=0.5, depth=lambda name: int(name.startswith("head")), show=False
    )
    assert sorted(g["lr"] for g in groups) == [0.5, 1.0]


def test_schedules_are_scaled_as_a_whole():
    lr, decay = 0.1 * schedules.cosine(100), schedules.linear(100, 0.1, 0.0)
    model = Net()
    opt = ours.AdamW(param_groups(model, decay, lr=lr, lr_scale={"head": 0.5}, show=False))
    scaled = next(g for g in opt.param_groups if "head.weight" in g["param_names"])
    assert scaled["lr"] == 0.05
    assert scaled.schedules["lr"][0](50) == pytest.approx(0.025)
    assert scaled.schedules["weight_decay"][0](50) == pytest.approx(0.05)
    model(torch.zeros(2, 3, dtype=torch.long)).sum().backward()
    opt.step()


NO_DECAY = {"Rprop", "SparseAdam"}
CLASSES = [
    *((ours, name) for name in ours.__all__ if isinstance(getattr(ours, name), type) and name != "RuleOptimizer"
      and issubclass(getattr(ours, name), ours.RuleOptimizer)),
    *((torch.optim, name) for name in ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam",
                                       "RAdam", "ASGD", "Adafactor", "Rprop", "SparseAdam")),
    (ours, "AdEMAMix"), (ours, "ScheduleFreeAdamW"), (ours, "Lamb"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "name"), CLASSES, ids=lambda value: getattr(value, "__name__", value))
def test_every_class_takes_them_and_steps_each_group_as_it_says(module, name):
    decays = name not in NO_DECAY
    model = Net()
    groups = param_groups(
        model, 0.1 if decays else None, no_decay="bias+norm" if decays else None,
        lr=0.01, lr_scale={"head": 0.0}, show=False,
    )  # fmt: skip
    opt = getattr(module, name)(groups)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    loss = model(torch.tensor([[1, 2, 3], [4, 5, 6]])).pow(2).sum()
    loss.backward()
    if name == "SparseAdam":
        for p in model.parameters():
            p.grad = None if p.grad is None else p.grad.to_sparse(1) if p.dim() > 1 else None
    opt.step()
    for n, p in model.named_parameters():
        moved = not torch.equal(p, before[n])
        if p.grad is None:
            assert not moved, n
        elif n.startswith("head"):  # of rate 0, which torch's Rprop only begins with
            assert moved is (name == "Rprop" and module is torch.optim), n
        elif name != "SparseAdam" and p.grad.abs().sum() > 1e-6:
            assert moved or p.grad.numel() == 0, n
    assert {n for group in opt.param_groups for n in group["param_names"]} == trainable(model)
    assert opt.state_dict()["param_groups"][0]["param_names"]


def test_groups_of_muon_are_divided_further_and_keep_what_they_say():
    model = Net()
    base = ours.muon_groups(model, lr=0.02, adamw_lr=1e-3, show=False)
    groups = param_groups(model, 0.1, layer_decay=0.5, base=base, show=False)
    opt = ours.Muon(groups)
    of = {n: g for g in opt.param_groups for n in g["param_names"]}
    assert set(of) == trainable(model)
    assert [of["blocks.0.0.weight"][key] for key in ("adamw", "lr", "weight_decay")] == [False, 0.005, 0.1]
    assert [of["blocks.1.1.bias"][key] for key in ("adamw", "lr", "weight_decay")] == [True, 5e-4, 0.0]
    assert of["head.weight"]["adamw"] is True
    with pytest.raises(ValueError, match=r"base: its groups lack embed\.weight, "):
        param_groups(model, base=base[:1], show=False)
    with pytest.raises(ValueError, match="have an lr of their own"):
        param_groups(model, lr=1.0, base=base, show=False)
    with pytest.raises(ValueError, match="hold 1 tensors that are no trainable"):
        param_groups(model, base=[*base, {"params": [nn.Parameter(torch.ones(1))]}], show=False)


def test_shared_tensors_are_stepped_once():
    model = Net()
    model.tied = nn.Linear(4, 7, bias=False)
    model.tied.weight = model.embed.weight
    held = [p for g in param_groups(model, show=False) for _, p in g["params"]]
    assert len(held) == len({id(p) for p in held})


@pytest.mark.parametrize("width", [40, 60, 79, 100, 200])
@pytest.mark.parametrize("show", [True, "all"])
def test_the_table_says_what_went_where_and_why_at_any_width(width, show, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    param_groups(Net(), 0.1, lr=0.01, layer_decay=0.5, lr_scale={"head": 2}, show=show)
    out = capsys.readouterr().out
    assert all(len(line) <= width for line in out.splitlines())
    said = " ".join(out.split())
    for words in ("no decay: ", "norm", "depth 1 of 3", "frozen", "int64, cannot be trained", "0.0025"):
        assert words in said
    if show == "all" and width >= 60:  # where no name is broken into two lines
        assert all(name in said for name in trainable(Net()))


ALL_FROZEN = Net().requires_grad_(False)


@pytest.mark.parametrize(
    ("model", "settings", "error", "says"),
    [
        (Net(), {"lr": 1, "lr_scale": {"haed": 2}}, ValueError, r"lr_scale: the pattern 'haed' matches no.* 'head'"),
        (Net(), {"lr": 1, "lr_scale": {"frozen": 2}}, ValueError, r"'frozen' matches only frozen parameters"),
        (Net(), {"lr": 1, "lr_scale": {"*": 2, "head": 3}}, ValueError, "earlier patterns match all that 'head' does"),
        (Net(), {"no_decay": "bias+nrom"}, ValueError, r"no_decay: the pattern 'nrom' matches no parameter.*'norm'"),
        (Net(), {"no_decay": [3]}, TypeError, "no_decay takes words and patterns, got 3"),
        (Net(), {"lr_scale": {"head": 2}}, ValueError, "lr_scale needs lr="),
        (Net(), {"layer_decay": 0.5}, ValueError, "layer_decay needs lr="),
        (Net(), {"lr": 1, "layer_decay": 0}, ValueError, "above 0"),
        (Net(), {"lr": 1, "layer_decay": 1.5}, ValueError, "at most 1, got 1.5"),
        (Net(), {"lr": -1}, ValueError, "lr must be"),
        (Net(), {"lr": "1"}, TypeError, "lr must be"),
        (Net(), {"lr": 1, "lr_scale": {"head": -2}}, ValueError, r"lr_scale\['head'\]"),
        (Net(), {"lr": 1, "lr_scale": {"head": True}}, TypeError, r"lr_scale\['head'\]"),
        (Net(), {"lr": 1, "lr_scale": [("head", 2)]}, TypeError, "must map patterns"),
        (Net(), {"depth": len}, ValueError, "depth needs layer_decay="),
        (ALL_FROZEN, {}, ValueError, "every parameter of the model is frozen"),
        (nn.ReLU(), {}, ValueError, "it has no parameters"),
        (nn.LazyLinear(3), {}, ValueError, "weight has no shape yet: run one batch"),
        ([nn.Parameter(torch.ones(1))], {}, TypeError, "takes a torch.nn.Module, got list"),
    ],
)  # fmt: skip
def test_what_is_refused(model, settings, error, says, capsys):
    with pytest.raises(error, match=says):
        param_groups(model, **settings)
    assert capsys.readouterr().out == ""
