"""The passes that are written out are those of autograd, whatever the shapes."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_annoser.network import seeded
from sklearn_annoser.network._module import MultiHeadModule
from sklearn_annoser.network._moving_layers import MovingLayers
from sklearn_annoser.network._stack import MemberStack

SIZES = st.fixed_dictionaries(
    {
        "n_features": st.integers(1, 6),
        "n_annotators": st.integers(1, 5),
        "n_outputs": st.integers(1, 3),
        "n_hidden": st.integers(1, 5),
        "n_tower_layers": st.integers(0, 3),
        "variance_heads": st.booleans(),
    }
)


def predicted(stack, X, heads, pairs, n_outputs):
    """Return what `MovingLayers.predict` returns, by the module's own way forward."""
    hidden = torch.nn.functional.pad(stack.hidden(X), (0, 1), value=1.0)
    maps = heads.unflatten(2, (-1, n_outputs, hidden.shape[-1]))  # (n_members, n_heads, n_kinds, n_outputs, ...)
    everyone = torch.einsum("mosh,makoh->mkosa", hidden, maps).flatten(1, 2).flatten(2)
    return torch.stack([each[:, places] for each, places in zip(everyone, pairs, strict=True)])


@settings(max_examples=60, deadline=None)
@given(SIZES, st.integers(1, 3), st.integers(1, 4), st.floats(0, 0.3), st.integers(0, 2**31))
def test_two_steps_are_those_of_autograd_and_sgd(sizes, n_members, n_samples, decay, seed):
    rng, n_outputs = np.random.RandomState(seed), sizes["n_outputs"]
    with seeded(seed):
        stack = MemberStack([MultiHeadModule(**sizes).double() for _ in range(n_members)])
    weights = [each.detach().clone() for each in stack.shared]
    velocities = [torch.zeros_like(each) for each in weights]
    layers = MovingLayers(weights, velocities, n_outputs=n_outputs, momentum=0.7)
    optimizer, decays = torch.optim.SGD(stack.shared, lr=0.1, momentum=0.7), decay * np.arange(n_members)
    for _ in range(2):
        X = torch.from_numpy(rng.normal(size=(n_members, n_samples, sizes["n_features"])))
        n_ratings = rng.randint(1, n_samples * sizes["n_annotators"] + 2)
        pairs = torch.from_numpy(rng.randint(n_samples * sizes["n_annotators"], size=(n_members, n_ratings)))
        heads = stack.heads.detach().clone().requires_grad_()
        expected = predicted(stack, X, heads, pairs, n_outputs)
        gradient = torch.from_numpy(rng.normal(size=expected.shape))
        optimizer.zero_grad()
        expected.backward(gradient)
        for weight in stack.shared:
            weight.grad += torch.from_numpy(decays).view(-1, *[1] * (weight.ndim - 1)) * weight.detach()
        optimizer.step()
        layers.start(0.1, decays.tolist())
        torch.testing.assert_close(layers.predict(X, heads.detach(), pairs), expected.detach())
        torch.testing.assert_close(layers.learn(gradient).flatten(2), heads.grad)
        for mine, theirs in zip(weights, stack.shared, strict=True):
            torch.testing.assert_close(mine, theirs.detach())


def test_the_first_members_are_moved_where_they_are():
    with seeded(0):
        stack = MemberStack([MultiHeadModule(3, 2, 2, n_hidden=4) for _ in range(3)])
    weights = [each.detach().clone() for each in stack.shared]
    layers = MovingLayers(weights, [torch.zeros_like(each) for each in weights], n_outputs=2, momentum=0.9)
    layers.start(0.1, [0.0, 0.1, 0.2])
    first = layers.first(2)
    predicted = first.predict(torch.randn(2, 5, 3), stack.heads[:2].detach(), torch.tensor([[0], [1]]))
    first.learn(torch.ones_like(predicted))
    for moved, before in zip(weights, stack.shared, strict=True):
        assert torch.equal(moved[2], before[2])
        assert not torch.equal(moved[1], before[1])
    assert first.decay == [0.0, 0.1]
