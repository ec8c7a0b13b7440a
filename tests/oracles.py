"""Slow plain twins of the metrics, in float64."""

import numpy as np


def ccc(true, pred, ddof=0):
    """Concordance as Lin printed it, one sample after the other."""
    n = len(true)
    mean_true, mean_pred = sum(map(float, true)) / n, sum(map(float, pred)) / n
    var_true = var_pred = covariance = 0.0
    for a, b in zip(true, pred, strict=True):
        var_true += (float(a) - mean_true) ** 2 / (n - ddof)
        var_pred += (float(b) - mean_pred) ** 2 / (n - ddof)
        covariance += (float(a) - mean_true) * (float(b) - mean_pred) / (n - ddof)
    return 2 * covariance / (var_true + var_pred + (mean_true - mean_pred) ** 2)


def ccc_matrix(true, pred):
    """Concordance of each column of `true` with each column of `pred`, on the samples where `true` is not NaN."""
    matrix = np.full((true.shape[1], pred.shape[1]), np.nan)
    for i in range(true.shape[1]):
        rated = ~np.isnan(true[:, i])
        for j in range(pred.shape[1]):
            if rated.sum() >= 2:
                matrix[i, j] = ccc(true[rated, i], pred[rated, j])
    return matrix


def annotator_ccc(ratings, values):
    """Concordance of each annotator and output, with a predicted value for each rating."""
    scores = np.full((ratings.n_annotators, ratings.n_outputs), np.nan)
    for code in range(ratings.n_annotators):
        mine = [k for k in range(ratings.n_ratings) if ratings.codes[k] == code]
        for output in range(ratings.n_outputs):
            if len(mine) >= 2:
                scores[code, output] = ccc(ratings.values[mine, output], values[mine, output])
    return scores


def individual_ccc(ratings, values, min_ratings=2):
    """Mean concordance of the annotators with enough ratings, for each output."""
    scores = annotator_ccc(ratings, values)
    enough = [code for code in range(ratings.n_annotators) if (ratings.codes == code).sum() >= min_ratings]
    return np.array([sum(scores[enough, output]) / len(enough) for output in range(ratings.n_outputs)])


def consensus_ccc(ratings, values):
    """Concordance of the samples' mean rating with their mean prediction, for each output."""
    scores = []
    for output in range(ratings.n_outputs):
        true, pred = [], []
        for start, end in zip(ratings.indptr[:-1], ratings.indptr[1:], strict=True):
            if end > start:
                true.append(sum(map(float, ratings.values[start:end, output])) / (end - start))
                pred.append(sum(map(float, values[start:end, output])) / (end - start))
        scores.append(ccc(true, pred))
    return np.array(scores)
