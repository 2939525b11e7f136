"""Lightning: `configure_optimizers` returns an optimizer of descend, and its schedule as a scheduler.

pip install lightning
python examples/with_lightning.py --epochs 4
"""

import argparse
import tempfile

import lightning
from digits import digits, network
from torch.nn.functional import cross_entropy

from descend.schedules import cosine, torch_scheduler
from descend.torch import AdamW
from descend.torch.groups.groups import param_groups


class Classifier(lightning.LightningModule):
    """The network, its loss and how it is trained."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.net, self.steps = network(), steps
        self.losses: list[float] = []

    def training_step(self, batch, _):
        x, y = batch
        loss = cross_entropy(self.net(x), y)
        self.losses.append(loss.item())
        return loss

    def configure_optimizers(self):
        opt = AdamW(param_groups(self, weight_decay=0.05), lr=0.01)
        scheduler = torch_scheduler(opt, cosine(self.steps), relative=True)
        return {"optimizer": opt, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def main(epochs: int = 4) -> tuple[float, float]:
    """Returns the loss of the first and of the last step; stopped halfway and resumed from the checkpoint."""
    _, loader = digits()
    settings = {
        "accelerator": "cpu", "gradient_clip_val": 1.0, "logger": False, "enable_progress_bar": False,
        "enable_model_summary": False,
    }  # fmt: skip
    model = Classifier(epochs * len(loader))
    with tempfile.TemporaryDirectory() as folder:
        trainer = lightning.Trainer(max_epochs=epochs // 2, default_root_dir=folder, **settings)
        trainer.fit(model, loader)
        trainer.save_checkpoint(f"{folder}/half.ckpt")
        trainer = lightning.Trainer(max_epochs=epochs, default_root_dir=folder, **settings)
        trainer.fit(model, loader, ckpt_path=f"{folder}/half.ckpt", weights_only=True)
    print(f"rate at the end: {trainer.optimizers[0].param_groups[0]['lr']:.2g}, steps: {len(model.losses)}")
    return model.losses[0], sum(model.losses[-5:]) / 5


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=4)
    print("loss: first {:.4f}, last {:.4f}".format(*main(parser.parse_args().epochs)))
