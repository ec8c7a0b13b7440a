"""Slow plain twins of the network and the mapping: Python loops in float64, one formula after the other."""

import numpy as np
from scipy.stats import multivariate_normal


def plain_ccc(true, pred):
    """CCC as printed, with population variances; 0 where a side is constant, 1 where both are and equal."""
    true, pred = np.asarray(true, dtype=np.float64), np.asarray(pred, dtype=np.float64)
    if np.ptp(true) == 0 or np.ptp(pred) == 0:
        return float(np.ptp(true) == np.ptp(pred) == 0 and true[0] == pred[0])
    mean_true, mean_pred = sum(true) / len(true), sum(pred) / len(pred)
    var_true = sum((t - mean_true) ** 2 for t in true) / len(true)
    var_pred = sum((p - mean_pred) ** 2 for p in pred) / len(pred)
    covariance = sum((t - mean_true) * (p - mean_pred) for t, p in zip(true, pred, strict=True)) / len(true)
    return 2 * covariance / (var_true + var_pred + (mean_true - mean_pred) ** 2)


def plain_loss(pred, true):
    """One minus the CCC of all ratings flattened together, averaged over the outputs."""
    return 1 - np.mean([plain_ccc(true[:, output], pred[:, output]) for output in range(true.shape[1])])


def relu(x):
    return np.maximum(x, 0)


def plain_hidden(module, x):
    """What the heads see of one sample, (n_outputs, n_hidden): every layer as torch.nn.Linear computes it."""
    weights = {name: value.detach().double().numpy() for name, value in module.named_parameters()}
    shared = relu(weights["trunk.1.weight"] @ np.asarray(x, dtype=np.float64) + weights["trunk.1.bias"])
    hidden = []
    for output in range(module.n_outputs):
        h = shared
        for layer in range(len(module.towers) // 2):
            matrix, bias = weights[f"towers.{2 * layer}.weight"], weights[f"towers.{2 * layer}.bias"]
            h = relu(matrix[output].T @ h + bias[output, 0])
        hidden.append(h)
    return np.stack(hidden)


def plain_predictions(module, X, ratings):
    """Prediction of each rating in a loop over samples and their ratings, (n_ratings, n_outputs)."""
    heads = module.heads.detach().double().numpy().reshape(module.n_annotators, module.n_outputs, -1)
    predictions = []
    for row, x in enumerate(X):
        hidden = plain_hidden(module, x)
        for code in ratings.codes[ratings.indptr[row] : ratings.indptr[row + 1]]:
            head = heads[code]
            predictions.append([head[k, :-1] @ hidden[k] + head[k, -1] for k in range(module.n_outputs)])
    return np.array(predictions)


def predictions_of(hidden, head):
    """Predictions of one head, (n_samples, n_outputs)."""
    return np.array([[w[:-1] @ h + w[-1] for h, w in zip(sample, head, strict=True)] for sample in hidden])


def plain_scores(hidden, heads, ratings):
    """Score of each head for each target and output in a double loop, (n_targets, n_heads, n_outputs)."""
    scores = np.zeros((ratings.n_annotators, len(heads), heads.shape[1]))
    for target in range(ratings.n_annotators):
        mine = ratings.codes == target
        rows, values = ratings.rows[mine], ratings.values[mine]
        for index, head in enumerate(heads):
            predicted = predictions_of(hidden[rows], head)
            for output in range(heads.shape[1]):
                true, pred = values[:, output], predicted[:, output] if len(rows) else []
                if len(true) == 1:
                    scores[target, index, output] = -abs(pred[0] - true[0])
                elif len(true):
                    scores[target, index, output] = plain_ccc(true, pred)
    return scores


def plain_moments(hidden):
    """Mean of hidden features and 1, and of their outer products, for one output."""
    rows = [np.append(row, 1.0) for row in np.asarray(hidden, dtype=np.float64)]
    return sum(rows) / len(rows), sum(np.outer(row, row) for row in rows) / len(rows)


def plain_covariance(heads, prior, output):
    """Covariance of a new head of one output, written out in full."""
    mean, second = prior.mean[output], prior.second[output]
    everyone = heads.mean(axis=0)
    known = sum(np.outer(head - everyone, head - everyone) for head in heads) / len(heads)
    between = max(np.trace(known @ second), 0.05 * prior.variance[output])
    centred = np.eye(len(mean))
    centred[-1] = -mean  # w.(h - mean) is w.h with the bias -w.mean
    own = 0.3 * between / (np.trace(second) - mean @ mean) * centred[:, :-1] @ centred[:, :-1].T
    covariance = known + own
    covariance[-1, -1] += prior.offset_variance[output]
    return covariance


def plain_axes(heads, prior, output):
    """The scaled consensus, and the directions in which people may differ: constant, content, known heads' own ways."""
    mean, second = prior.mean[output], prior.second[output]
    everyone, n = heads.mean(axis=0), len(mean) - 1
    consensus = everyone - np.eye(n + 1)[n] * (everyone @ mean)
    consensus = consensus / np.sqrt(consensus @ second @ consensus)
    covariance = second[:n, :n] - np.outer(mean[:n], mean[:n])
    without = np.eye(n) - np.outer(consensus[:n], covariance @ consensus[:n])  # features less what the consensus tells
    covariance = without.T @ covariance @ without
    scale = np.ones(n)
    for part in (range(n - prior.n_content), range(n - prior.n_content, n)):
        if part:
            scale[part] = 1 / np.sqrt(sum(covariance[k, k] for k in part))
    values, vectors = np.linalg.eigh(covariance * np.outer(scale, scale))
    content = np.vstack([without @ (scale[:, None] * vectors), np.zeros(n)]) / np.sqrt(values.sum())
    values, vectors = np.linalg.eigh(np.cov(heads.T, bias=True))
    known = vectors * np.sqrt(np.maximum(values, 0)) / prior.individual_share
    for axes in (content, known):
        axes[-1] -= mean @ axes  # predictions along an axis have the mean 0
    return consensus, everyone @ mean, content, known


def plain_blend(hidden, heads, ratings, prior):
    """Blended heads of all new annotators, from the covariance of all their ratings of an output, written out."""
    heads, blended = np.asarray(heads, dtype=np.float64), np.zeros((ratings.n_annotators, *heads.shape[1:]))
    for output in range(heads.shape[1]):
        consensus, mean, content, known = plain_axes(heads[:, output], prior, output)
        offset = np.eye(len(consensus))[:, -1:]
        given = np.isfinite(ratings.values[:, output])
        rows, codes, values = ratings.rows[given], ratings.codes[given], ratings.values[given, output]
        seen = np.c_[hidden[:, output], np.ones(len(hidden))][rows]
        total, tau, items = prior.variance[output], prior.offset_variance[output], len(set(rows))
        own = tau * offset @ offset.T + prior.own_content[output] * total * content @ content.T + known @ known.T
        few, together = 150 / items, np.mean([np.sum(rows == row) > 1 for row in rows])
        told, solutions = [], []
        for b in np.tanh([0.1, 0.2, 0.35, 0.55, 0.85, 1.25, 1.8]):
            of_item = min(max(prior.common[output] - b**2, 0.02), 0.9 * (1 - b**2)) * total
            start = offset[:, 0] * mean + b * np.sqrt(total) * consensus
            z = np.arctanh(b) - np.arctanh(np.clip(prior.correlation[output], -0.99, 0.99))
            for step, shift in enumerate([0.0, 0.03, 0.1, 0.3, 1.0]):
                shared = 0.5 * tau * offset @ offset.T + shift * total * content @ content.T
                expected = seen @ shared @ seen.T + (codes[:, None] == codes) * (seen @ own @ seen.T)
                expected += of_item * (rows[:, None] == rows)
                expected += np.eye(len(seen)) * ((1 - b**2) * total - of_item)
                before = -0.5 * (z / 0.4) ** 2 - step * np.log(2) * min(few, 1.5 + together * (few - 1.5))
                told.append(before + multivariate_normal(seen @ start, expected).logpdf(values))
                pull = np.linalg.inv(expected) @ (values - seen @ start)
                solutions.append(
                    [
                        start + shared @ seen.T @ pull + own @ seen.T @ (pull * (codes == one))
                        for one in range(len(blended))
                    ]
                )
        probability = np.exp(told - np.max(told))
        blended[:, output] = np.tensordot(probability / probability.sum(), np.array(solutions), axes=1)
    return blended


def plain_calibration(p, p_enroll, y_enroll, head, prior, output, with_offset=True):
    """Calibrated predictions of one output, by the printed formulas."""
    n, worth, variance = len(y_enroll), prior.n_worth[output], prior.variance[output]
    squares = sum((y - np.mean(y_enroll)) ** 2 for y in y_enroll)
    target = np.sqrt((worth * variance + squares) / (worth + max(n - 1, 0)))
    mean, second = prior.mean[output], prior.second[output]
    centre = head @ mean
    slope = target / np.sqrt(head @ (second - np.outer(mean, mean)) @ head)
    moved = 0.0
    if n and with_offset:
        offset_variance = prior.offset_variance[output]
        moved = n * offset_variance / (n * offset_variance + variance / 2) * (np.mean(y_enroll) - np.mean(p_enroll))
    return (p - centre) * slope + centre + moved


def plain_bootstrap(hidden, heads, values, n_bootstrap, rng):
    """Wins and confidence of the jointly best head, resample by resample."""
    predicted = np.stack([predictions_of(hidden, head) for head in heads])  # (n_heads, n_ratings, n_outputs)

    def total(rows):
        outputs = range(values.shape[1])
        return np.array([sum(plain_ccc(values[rows, k], pred[rows, k]) for k in outputs) for pred in predicted])

    wins, beaten = np.zeros(len(heads)), []
    for counts in rng.multinomial(len(values), np.full(len(values), 1 / len(values)), size=n_bootstrap):
        inside, outside = np.repeat(np.arange(len(values)), counts), np.flatnonzero(counts == 0)
        if len(set(inside)) < 2 or len(outside) < 2:
            continue
        best = total(inside).argmax()
        left = total(outside)
        wins[best] += 1
        beaten.append((np.sum(left < left[best]) + (np.sum(left == left[best]) - 1) / 2) / (len(heads) - 1))
    return wins / len(beaten), np.mean(beaten)
