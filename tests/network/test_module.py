import numpy as np
import pytest
import torch

from sklearn_annoser import Ratings
from sklearn_annoser.network import CCCLoss, MultiHeadModule, RatingsDataset, mixture_divergence
from sklearn_annoser.network._module import FeatureDropout, StackedLinear
from tests.oracles_network import plain_hidden, plain_predictions


def make_ratings(n_samples, n_annotators, n_outputs, share=0.5, seed=0):
    rng = np.random.RandomState(seed)
    values = rng.uniform(-1, 1, size=(n_samples, n_annotators, n_outputs))
    values[rng.uniform(size=(n_samples, n_annotators)) > share] = np.nan
    values[0, 0] = 0.5  # never without any rating
    return Ratings.from_dense(values)


def batch_of(X, ratings, **kwargs):
    dataset = RatingsDataset(X, ratings, **kwargs)
    return dataset.__getitems__(np.arange(len(dataset)))[0]


def make_case(n_outputs=2, n_tower_layers=2, **kwargs):
    torch.manual_seed(0)
    X = np.random.RandomState(0).normal(size=(12, 5)).astype(np.float32)
    module = MultiHeadModule(5, 4, n_outputs, n_hidden=6, n_tower_layers=n_tower_layers, **kwargs)
    return module.eval(), X, make_ratings(12, 4, n_outputs)


@pytest.mark.parametrize("n_tower_layers", [0, 1, 2])
@pytest.mark.parametrize("n_outputs", [1, 2, 5])
def test_forward_equals_a_loop_over_ratings(n_outputs, n_tower_layers):
    module, X, ratings = make_case(n_outputs, n_tower_layers)
    module.double()
    batch = batch_of(X, ratings)
    object.__setattr__(batch, "X", batch.X.double())
    predicted = module(batch).detach().numpy()
    assert predicted.shape == (ratings.n_ratings, n_outputs)
    np.testing.assert_allclose(predicted, plain_predictions(module, X, ratings), atol=1e-10)


def test_hidden_features_equal_those_of_single_samples():
    module, X, _ = make_case()
    hidden = module.double().hidden(torch.from_numpy(X).double()).detach().numpy()
    assert hidden.shape == (2, 12, 6)
    np.testing.assert_allclose(hidden.transpose(1, 0, 2), [plain_hidden(module, x) for x in X], atol=1e-10)


def test_stacked_linear_is_one_torch_linear_for_each_output():
    layer, x = StackedLinear(3, 4, 2), torch.randn(3, 7, 4)
    for output, plain in enumerate(torch.nn.Linear(4, 2) for _ in range(3)):
        plain.weight.data, plain.bias.data = layer.weight[output].T, layer.bias[output, 0]
        torch.testing.assert_close(layer(x)[output], plain(x[output]))


def test_heads_and_layers_start_in_the_range_of_torch_linear():
    module = MultiHeadModule(4, 50, 2, n_hidden=16)
    for values in (module.heads, module.towers[0].weight, module.towers[0].bias):
        assert 0.2 < values.abs().max() <= 1 / 4  # 1 / sqrt(16)


def test_every_parameter_gets_a_gradient():
    module, X, ratings = make_case()
    batch = batch_of(X, ratings)
    CCCLoss()(module.train()(batch), batch.y).backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.to_dense().abs().sum() > 0, name


def test_only_the_heads_of_the_batch_are_in_the_gradient():
    module, X, ratings = make_case()
    batch = batch_of(X[:3], ratings.keep_annotators([1, 3])[:3])  # codes 0 and 1 of four heads
    module(batch).sum().backward()
    assert module.heads.grad.is_sparse
    assert module.heads.grad._indices()[0].tolist() == batch.heads.tolist() == [0, 1]


def test_a_dense_gradient_of_the_heads_is_the_same():
    module, X, ratings = make_case()
    batch = batch_of(X, ratings)
    module(batch).square().sum().backward()
    sparse, module.heads.grad, module.sparse_heads = module.heads.grad.to_dense(), None, False
    module(batch).square().sum().backward()
    assert not module.heads.grad.is_sparse
    torch.testing.assert_close(module.heads.grad, sparse)


def test_a_batch_with_consensus_asks_the_last_head():
    module, X, ratings = make_case()
    ratings = ratings.keep_annotators([0, 1, 2])
    batch = batch_of(X, ratings, consensus_head=True)
    individual, consensus = batch.parts(module(batch).detach())
    rated = np.flatnonzero(np.diff(ratings.indptr))
    alone = Ratings.from_rows(np.zeros((len(rated), 2)), 0)._replace(codes=np.full(len(rated), 3, dtype=np.int32))
    np.testing.assert_allclose(consensus, plain_predictions(module, X[rated], alone), atol=1e-6)
    np.testing.assert_allclose(individual, plain_predictions(module, X, ratings), atol=1e-6)


def test_parameters_are_those_of_the_paper():
    module = MultiHeadModule(1536, 100, 2)
    # One shared layer, two towers of two layers, and 257 numbers for each of 100 annotators and 2 dimensions.
    expected = (1536 + 1) * 256 + 2 * 2 * (256 + 1) * 256 + 100 * 2 * (256 + 1)
    assert sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad) == expected


@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(300, 1001), (400_003, 1)])
def test_dropout_drops_its_share_and_scales_the_rest_up(p, shape):
    torch.manual_seed(0)
    dropped = FeatureDropout(p)(torch.full(shape, 3.0))
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], torch.full((int(kept.sum()),), 3 / (1 - p)))
    assert kept.float().mean().item() == pytest.approx(1 - p, abs=0.005)  # five standard errors are 0.0046
    assert kept.float().mean(0).std(correction=0) < 0.05  # no column is favoured


def test_dropout_of_neighbours_is_independent_and_new_each_time():
    torch.manual_seed(0)
    dropout, ones = FeatureDropout(0.5), torch.ones(1000, 400)
    first, second = dropout(ones) > 0, dropout(ones) > 0
    for one, other in [(first, second), *((first[:, lag:], first[:, :-lag]) for lag in (1, 2, 3, 4, 8))]:
        assert (one == other).float().mean().item() == pytest.approx(0.5, abs=0.01)


def test_dropout_passes_the_gradient_of_what_it_kept():
    x = torch.ones(10, 10, requires_grad=True)
    dropped = FeatureDropout(0.25)(x)
    dropped.sum().backward()
    torch.testing.assert_close(x.grad, dropped.detach())


def test_dropping_everything_leaves_zeros():
    assert torch.equal(FeatureDropout(1.0)(torch.ones(3, 3)), torch.zeros(3, 3))


def test_dropout_acts_on_the_features_in_training_only():
    module = MultiHeadModule(20, 1, 1, n_hidden=8, dropout=0.5)
    X = torch.ones(1, 20)
    assert torch.equal(module.eval().hidden(X), module.hidden(X))
    torch.manual_seed(0)
    assert not torch.equal(module.train().hidden(X), module.hidden(X))


def test_stacked_heads_have_the_bias_last():
    module, X, ratings = make_case()
    heads = module.stacked_heads()
    assert heads.shape == (4, 2, 7)
    assert not heads.requires_grad
    with torch.no_grad():
        module.heads.view(4, 2, 7)[:, :, :-1] = 0
    np.testing.assert_allclose(module(batch_of(X, ratings)).detach(), heads.numpy()[ratings.codes, :, -1])


def test_start_from_copies_the_network_and_gives_each_annotator_the_one_head():
    module, X, _ = make_case()
    other = MultiHeadModule(5, 1, 2, n_hidden=6).eval()
    module.start_from(other)
    assert torch.equal(module.heads, other.heads.expand(4, -1))
    torch.testing.assert_close(module.hidden(torch.from_numpy(X)), other.hidden(torch.from_numpy(X)))
    with torch.no_grad():
        other.heads.zero_()
        other.trunk[1].weight.zero_()
    assert module.heads.abs().min() > 0  # copied, not shared
    assert module.trunk[1].weight.abs().min() > 0


@pytest.mark.parametrize("keep_last", [False, True])
def test_new_heads_start_as_the_mean_of_all_annotators(keep_last):
    module, _, _ = make_case()
    before = module.stacked_heads().clone()
    module.add_heads(2, keep_last=keep_last)
    after, n_known = module.stacked_heads(), 4 - keep_last
    assert module.n_annotators == len(after) == 6
    assert torch.equal(after[:n_known], before[:n_known])
    torch.testing.assert_close(after[n_known : n_known + 2], before[:n_known].mean(0).expand(2, -1, -1))
    assert torch.equal(after[n_known + 2 :], before[n_known:])
    assert isinstance(module.heads, torch.nn.Parameter)
    assert module.heads.requires_grad


def test_repr_shows_the_shape_of_a_tower():
    assert "StackedLinear(n_outputs=2, n_in=6, n_out=6)" in repr(make_case()[0])


# ---------------------------------------------------------------------- variance heads


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_log_variances_are_the_columns_after_the_predictions(n_outputs):
    module, X, ratings = make_case(n_outputs, variance_heads=True)
    module.double()
    batch = batch_of(X, ratings)
    object.__setattr__(batch, "X", batch.X.double())
    mean, log_variance = module(batch).detach().numpy().reshape(-1, 2, n_outputs).transpose(1, 0, 2)
    hidden = [plain_hidden(module, x) for x in X]
    for values, heads in ((mean, module.stacked_heads()), (log_variance, module.stacked_variance_heads())):
        expected = [
            [head[k, :-1] @ hidden[row][k] + head[k, -1] for k in range(n_outputs)]
            for row, head in zip(ratings.rows, heads.numpy()[ratings.codes], strict=True)
        ]
        np.testing.assert_allclose(values, expected, atol=1e-10)


def test_a_rating_knows_its_sample():
    _, X, ratings = make_case()
    batch = batch_of(X[3:], ratings[3:])
    rated = np.flatnonzero(np.diff(ratings[3:].indptr))
    assert rated[batch.samples].tolist() == ratings[3:].rows.tolist()


def test_every_parameter_gets_a_gradient_of_both_losses():
    module, X, ratings = make_case(variance_heads=True)
    batch = batch_of(X, ratings)
    predicted = module.train()(batch)
    divergence = mixture_divergence(predicted[:, :2], predicted[:, 2:], batch.y, batch.samples)
    (CCCLoss()(predicted[:, :2], batch.y) + divergence.mean()).backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad.to_dense().abs().sum() > 0, name
    assert (module.heads.grad.to_dense()[:, 6::7] != 0).any(0).all()  # each bias: means, then log-variances


def test_variances_start_as_they_are_told_for_every_annotator_and_sample():
    module, X, ratings = make_case(variance_heads=True)
    before = module.stacked_heads().clone()
    module.start_variances(torch.tensor([0.5, 0.1]))
    log_variance = module(batch_of(X, ratings))[:, 2:].detach()
    torch.testing.assert_close(log_variance.exp(), torch.tensor([0.5, 0.1]).expand_as(log_variance))
    assert torch.equal(module.stacked_heads(), before)


def test_start_from_leaves_the_variances():
    module, other = make_case(variance_heads=True)[0], MultiHeadModule(5, 1, 2, n_hidden=6)
    before = module.stacked_variance_heads().clone()
    module.start_from(other)
    assert torch.equal(module.stacked_heads(), other.stacked_heads().expand(4, -1, -1))
    assert torch.equal(module.stacked_variance_heads(), before)


def test_new_variance_heads_start_as_the_mean_of_all_annotators():
    module = make_case(variance_heads=True)[0]
    before = module.stacked_variance_heads().clone()
    module.add_heads(2, keep_last=True)
    after = module.stacked_variance_heads()
    assert torch.equal(after[[0, 1, 2, 5]], before)
    torch.testing.assert_close(after[3:5], before[:3].mean(0).expand(2, -1, -1))
