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


def plain_blend(hidden, heads, values, prior):
    """Blended head of one new annotator, (n_outputs, n_hidden + 1), centre by centre and noise by noise."""
    heads = np.asarray(heads, dtype=np.float64)
    n_outputs = heads.shape[1]
    log_evidence, solutions = np.zeros((n_outputs, len(heads) + 1, 3)), {}
    for output in range(n_outputs):
        seen = np.c_[hidden[:, output], np.ones(len(hidden))]
        for number, centre in enumerate([heads[:, output].mean(axis=0), *heads[:, output]]):
            covariance = plain_covariance(heads[:, output], prior, output) * (1.0 if number == 0 else 0.3)
            for step, noise in enumerate(np.array([0.25, 0.5, 1.0]) * prior.variance[output]):
                expected = seen @ covariance @ seen.T + noise * np.eye(len(seen))
                told = multivariate_normal(seen @ centre, expected).logpdf(values[:, output])
                log_evidence[output, number, step] = told
                pull = covariance @ seen.T @ np.linalg.inv(expected) @ (values[:, output] - seen @ centre)
                solutions[output, number, step] = centre + pull
    before = np.array([0.5] + [0.5 / len(heads)] * len(heads))
    of_centre = before * np.exp(log_evidence - log_evidence.max()).sum(axis=2).prod(axis=0)
    of_centre /= of_centre.sum()
    blended = np.zeros(heads.shape[1:])
    for (output, number, step), solution in solutions.items():
        of_noise = np.exp(log_evidence[output, number] - log_evidence[output, number].max())
        blended[output] += of_centre[number] * of_noise[step] / of_noise.sum() * solution
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
