"""Hugging Face transformers: a small ViT under `Trainer(optimizers=(optimizer, scheduler))`, with layer-wise decay.

pip install transformers accelerate
python examples/with_transformers.py --steps 200
"""

import argparse
import tempfile

import torch
from digits import digits
from transformers import Trainer, TrainingArguments, ViTConfig, ViTForImageClassification

from descend.schedules import linear, linear_warmup, torch_scheduler
from descend.torch import AdamW
from descend.torch.groups.groups import param_groups


def main(steps: int = 200) -> tuple[float, float]:
    """Returns the loss of the first and of the last tenth of the steps."""
    data, _ = digits()
    x, y = data.tensors
    images = [{"pixel_values": row, "labels": label} for row, label in zip(x.view(-1, 1, 8, 8), y, strict=True)]
    torch.manual_seed(0)
    # 32 wide, it needs larger weights to begin with than the 0.02 that suit a width of 768
    size = {
        "initializer_range": 0.18,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
    }
    model = ViTForImageClassification(ViTConfig(image_size=8, patch_size=2, num_channels=1, num_labels=10, **size))
    opt = AdamW(param_groups(model, weight_decay=0.01, lr=3e-3, layer_decay=0.8, lr_scale={"classifier": 2}))
    scheduler = torch_scheduler(opt, linear_warmup(steps // 10) >> linear(steps - steps // 10), relative=True)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, max_steps=steps, per_device_train_batch_size=32, logging_steps=max(1, steps // 10), seed=0,
            save_strategy="no", report_to="none", use_cpu=True, disable_tqdm=True,
        )  # fmt: skip
        trainer = Trainer(model, arguments, train_dataset=images, optimizers=(opt, scheduler))
        trainer.train()
    losses = [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]
    return losses[0], losses[-1]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    print("loss: first {:.4f}, last {:.4f}".format(*main(parser.parse_args().steps)))
