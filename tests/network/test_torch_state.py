"""The same seed gives the same numbers whatever torch is set to and whoever trains beside; torch stays as it was."""

import contextlib
import threading

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed
from skorch.callbacks import Callback

from sklearn_annoser import AnnotatorMappedRegressor, AnnotatorMapper
from sklearn_annoser.datasets import make_corpora
from sklearn_annoser.network import seeded
from sklearn_annoser.network._optim import IdleSteps
from sklearn_annoser.network._torch_state import generator, limited_threads
from tests.network.cases import RATINGS, InterruptAt, X, assert_equal_weights, fit, make_net, weights_of

SOURCE, TARGET = make_corpora(n_samples=120, n_features=70, n_annotators=6, random_state=0)


class Draws(Callback):
    """Draws from torch's generator, as anybody may while a net is trained."""

    def on_batch_end(self, net, **kwargs):
        torch.rand(1)


def everything(callbacks=None):
    """Fit, predict, train on and fine-tune by one seed, and return all the numbers."""
    variant = "individual+consensus+variance"
    settings = {"n_hidden": 33, "lr": 0.02, "max_epochs": 3, "random_state": 0, "callbacks": callbacks}
    model = AnnotatorMappedRegressor(variant=variant, **settings).fit(SOURCE.X, SOURCE.ratings)
    numbers = [model.heads_, model.predict_annotators(TARGET.X)]
    mapper = AnnotatorMapper(model, fine_tune="all", random_state=0).fit(TARGET.X[:40], TARGET.ratings[:40])
    numbers.append(mapper.predict_annotators(TARGET.X))
    model.partial_fit(SOURCE.X, SOURCE.ratings)
    return [*numbers, model.predict(TARGET.X)]


@pytest.fixture(scope="module")
def expected():
    return everything()


def assert_equal(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@contextlib.contextmanager
def switched(read, write, value):
    """Switch something of torch's, and see that it is still so after what follows."""
    before = read()
    write(value)
    try:
        yield
        assert read() == value
    finally:
        write(before)


def bfloat16():
    matmul = getattr(torch.backends.mkldnn, "matmul", None)
    if not hasattr(matmul, "fp32_precision"):
        pytest.skip("torch before 2.9 has one setting only")
    return switched(lambda: matmul.fp32_precision, lambda value: setattr(matmul, "fp32_precision", value), "bf16")


PRECISION = torch.get_float32_matmul_precision, torch.set_float32_matmul_precision
SWITCHES = {
    "float64": lambda: switched(torch.get_default_dtype, torch.set_default_dtype, torch.float64),
    "float16": lambda: switched(torch.get_default_dtype, torch.set_default_dtype, torch.float16),
    "medium": lambda: switched(*PRECISION, "medium"),
    "high": lambda: switched(*PRECISION, "high"),
    "bfloat16": bfloat16,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "deterministic": lambda: switched(
        torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms, True
    ),
    "no gradients": lambda: switched(torch.is_grad_enabled, torch.set_grad_enabled, False),
    "inference": torch.inference_mode,
    "device": lambda: switched(lambda: str(torch.empty(0).device), torch.set_default_device, "meta"),
    "threads": lambda: switched(torch.get_num_threads, torch.set_num_threads, 2),
}


@pytest.mark.parametrize("name", SWITCHES)
def test_no_switch_of_torch_changes_a_number_and_none_is_changed(name, expected):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    with SWITCHES[name]():
        assert_equal(everything(), expected)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", ["medium", "no gradients", "device", "threads"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_a_training_that_fails_leaves_the_switches_as_they_were(name, error):
    class Fails(Callback):
        def on_grad_computed(self, net, **kwargs):
            raise error

    before = torch.get_rng_state()
    with SWITCHES[name](), pytest.raises(error):
        AnnotatorMappedRegressor(n_hidden=8, random_state=0, callbacks=[Fails()]).fit(SOURCE.X, SOURCE.ratings)
    assert torch.equal(torch.get_rng_state(), before)
    assert generator() is None


def test_fits_in_threads_are_as_if_alone_and_leave_torch_as_it_was(expected):
    torch.manual_seed(123)
    before = torch.get_rng_state()
    with SWITCHES["threads"](), SWITCHES["medium"]():
        for found in Parallel(n_jobs=3, backend="threading")(delayed(everything)() for _ in range(4)):
            assert_equal(found, expected)
        assert in_new_thread(torch.get_num_threads) == 2
    assert torch.equal(torch.get_rng_state(), before)


def test_draws_of_others_do_not_matter(expected):
    assert_equal(everything([Draws()]), expected)


def test_a_net_without_a_seed_draws_from_torchs_generator():
    first, again, other = (weights_of(fit(seed=seed, module__dropout=0.2)) for seed in (0, 0, 1))
    assert_equal_weights(first, again)
    assert not torch.equal(first["heads"], other["heads"])


def test_a_model_that_was_copied_in_inference_mode_can_be_trained_on():
    net = fit()
    with torch.inference_mode():
        heads = net.module_.stacked_heads().numpy().copy()
        net.replace_heads(heads)
        twin = make_net().fit_from(net, X, RATINGS)
    for each in (net, twin):
        each.partial_fit(X, RATINGS)


# ---------------------------------------------------------------------- threads


def in_new_thread(function):
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.parametrize(("n_threads", "expected"), [(1, 1), (3, 3), (None, 2)])
def test_threads_are_those_asked_for_and_given_back(n_threads, expected):
    class Count(Callback):
        def on_batch_end(self, net, **kwargs):
            seen.add(torch.get_num_threads())

    seen = set()
    with SWITCHES["threads"]():
        fit(n_threads=n_threads, callbacks=[Count()], max_epochs=1)
    assert seen == {expected}


def test_new_threads_start_with_the_users_number_also_within():
    with SWITCHES["threads"](), limited_threads(3):
        assert torch.get_num_threads() == 3
        assert in_new_thread(torch.get_num_threads) == 2


def test_a_net_that_is_interrupted_gives_the_threads_back():
    with SWITCHES["threads"](), pytest.raises(KeyboardInterrupt):
        make_net(callbacks=[InterruptAt(2)]).fit(X, RATINGS)


# ---------------------------------------------------------------------- generator


def test_seeded_draws_from_its_seed_and_leaves_that_of_torch_alone():
    before = torch.get_rng_state()
    draws = []
    for _ in range(2):
        with seeded(3):
            draws.append(torch.rand(4, generator=generator()))
            assert in_new_thread(generator) is None
    assert generator() is None
    assert torch.equal(*draws)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_table_of_idle_steps_is_right_if_another_thread_lengthens_it():
    class Overtaken(IdleSteps):
        """Has a longer table at every second look."""

        @property
        def table(self):
            self.looks += 1
            return self.longer if self.looks % 2 == 0 else np.eye(2)[None]

        @table.setter
        def table(self, value):
            pass

    plain = IdleSteps(0.1, 0.9, 0.01)
    expected = plain.up_to(40)
    Overtaken.looks, Overtaken.longer = 0, plain.table
    for _ in range(2):
        assert torch.equal(Overtaken(0.1, 0.9, 0.01).up_to(10)[:11], expected[:11])
