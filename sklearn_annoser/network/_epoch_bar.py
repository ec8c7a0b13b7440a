"""`EpochBar`: a bar that shows how far a training is."""

from __future__ import annotations

from typing import Any

from skorch.callbacks import Callback
from tqdm.auto import tqdm


class EpochBar(Callback):
    """Show a bar of the epochs, with the losses; early stopping may end it sooner."""

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Draw the bar."""
        self.bar_ = tqdm(total=net.max_epochs, desc="epochs", unit="epoch")

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Move it on."""
        losses = {key: net.history[-1][key] for key in ("train_loss", "valid_loss") if key in net.history[-1]}
        self.bar_.set_postfix({key: f"{loss:.4f}" for key, loss in losses.items()}, refresh=False)
        self.bar_.update()

    def on_train_end(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Close it."""
        self.bar_.close()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "bar_"}  # which does not pickle
