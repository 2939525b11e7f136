"""Layer depth from the order of modules, for the families people fine-tune."""

import pytest
import torch
from torch import nn

from descend.torch.groups.depth import depths


class Block(nn.Module):
    """Of a transformer; with experts, an inner list of equal parts that is no list of layers."""

    def __init__(self, experts: int = 0) -> None:
        super().__init__()
        self.norm1, self.attn, self.norm2 = nn.LayerNorm(4), nn.MultiheadAttention(4, 1), nn.LayerNorm(4)
        mlp = [nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4)) for _ in range(max(1, experts))]
        self.mlp = nn.ModuleDict({"experts": nn.ModuleList(mlp)}) if experts else mlp[0]


class ViT(nn.Module):
    def __init__(self, layers: int = 3, experts: int = 0) -> None:
        super().__init__()
        self.cls_token, self.pos_embed = nn.Parameter(torch.zeros(1, 1, 4)), nn.Parameter(torch.zeros(1, 5, 4))
        self.patch_embed = nn.Conv2d(3, 4, 2)
        self.blocks = nn.Sequential(*(Block(experts) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(4), nn.Linear(4, 2)


class Basic(nn.Module):
    def __init__(self, down: bool) -> None:
        super().__init__()
        self.conv1, self.bn1, self.conv2, self.bn2 = (
            nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4),
        )  # fmt: skip
        self.downsample = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)) if down else None


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 7), nn.BatchNorm2d(4)
        self.layer1 = nn.Sequential(Basic(False), Basic(False))
        self.layer2 = nn.Sequential(Basic(True), Basic(False))
        self.fc = nn.Linear(4, 2)


class Stage(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.downsample = nn.Conv2d(4, 4, 2)
        self.blocks = nn.ModuleList(Block() for _ in range(2))


class Staged(nn.Module):
    """Like Swin and ConvNeXt."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 4)
        self.stages = nn.ModuleList(Stage() for _ in range(2))
        self.head = nn.Linear(4, 2)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (ViT(), {"cls_token": 0, "pos_embed": 0, "patch_embed.weight": 0, "blocks.0.norm1.weight": 1,
                 "blocks.2.mlp.2.bias": 3, "norm.weight": 4, "head.bias": 4}),
        (ViT(experts=3), {"blocks.0.mlp.experts.0.0.weight": 1, "blocks.0.mlp.experts.2.0.weight": 1,
                          "blocks.2.mlp.experts.1.0.weight": 3, "head.weight": 4}),
        (ResNet(), {"conv1.weight": 0, "bn1.weight": 0, "layer1.0.conv1.weight": 1, "layer1.1.bn2.bias": 2,
                    "layer2.0.downsample.0.weight": 3, "layer2.1.conv1.weight": 4, "fc.weight": 5}),
        (Staged(), {"stem.weight": 0, "stages.0.downsample.weight": 0, "stages.0.blocks.0.norm1.weight": 1,
                    "stages.0.blocks.1.norm1.weight": 2, "stages.1.downsample.weight": 3,
                    "stages.1.blocks.0.norm1.weight": 3, "stages.1.blocks.1.norm1.weight": 4, "head.weight": 5}),
        (nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 3), nn.Linear(3, 1)),
         {"0.weight": 0, "1.weight": 0, "3.bias": 1, "4.weight": 2}),
        (nn.Linear(2, 1), {"weight": 0, "bias": 0}),
        (nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 2, nn.LayerNorm(4)),
         {"layers.0.linear1.weight": 1, "layers.1.norm1.bias": 2, "norm.weight": 3}),
    ],
    ids=["ViT", "experts", "ResNet", "stages", "MLP", "Linear", "TransformerEncoder"],
)  # fmt: skip
def test_depths(model, expected):
    found = depths(model)
    assert {name: found[name] for name in expected} == expected
    assert set(found) == {name for name, _ in model.named_parameters()}
    assert max(found.values()) == max(expected.values())


def test_a_shared_head_lies_where_the_embedding_is():
    model = nn.ModuleDict({
        "embed": nn.Embedding(5, 4), "layers": nn.ModuleList([Block(), Block()]), "lm": nn.Linear(4, 5, bias=False),
    })  # fmt: skip
    model["lm"].weight = model["embed"].weight
    found = depths(model)
    assert found["embed.weight"] == 0
    assert "lm.weight" not in found


def test_freezing_changes_no_depth():
    model = ViT()
    before = depths(model)
    model.head.requires_grad_(False)
    assert depths(model) == before


def test_models_of_transformers():
    transformers = pytest.importorskip("transformers")
    small = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8, "num_hidden_layers": 3}
    bert = transformers.BertForSequenceClassification(transformers.BertConfig(vocab_size=9, **small))
    found = depths(bert)
    assert found["bert.embeddings.word_embeddings.weight"] == 0
    assert found["bert.encoder.layer.0.attention.self.query.weight"] == 1
    assert found["bert.encoder.layer.2.output.LayerNorm.weight"] == 3
    assert found["bert.pooler.dense.weight"] == found["classifier.bias"] == 4
    t5 = transformers.T5Model(transformers.T5Config(vocab_size=9, d_model=8, d_kv=4, num_heads=2, d_ff=8, num_layers=2))
    found = depths(t5)
    assert found["encoder.block.1.layer.1.DenseReluDense.wi.weight"] == 2
    assert found["decoder.block.1.layer.0.SelfAttention.q.weight"] == 4
    assert max(found.values()) == 5
