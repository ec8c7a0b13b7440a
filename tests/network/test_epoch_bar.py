import pickle

import pytest
from skorch.callbacks import ProgressBar

from sklearn_annoser.network import CCCLoss, EpochBar
from tests.network.cases import fit


def test_the_progress_bars_run_and_pickle(capsys):
    net = fit(callbacks=[ProgressBar(), EpochBar()], max_epochs=4)
    assert "epochs: 100%" in capsys.readouterr().err
    pickle.dumps(net)


def test_a_training_that_fails_leaves_a_bar_that_pickles(capsys):
    class Broken(CCCLoss):
        def forward(self, y_pred, y_true):
            raise RuntimeError("broken")

    bar = EpochBar()
    with pytest.raises(RuntimeError, match="broken"):
        fit(criterion=Broken, callbacks=[bar], pretrain_epochs=0)
    bar.bar_.close()
    assert isinstance(pickle.loads(pickle.dumps(bar)), EpochBar)
