"""This run beside the published numbers."""

import numpy as np

from sklearn_annoser.reproduce import PUBLISHED, compare_published


def test_beside_the_published_numbers(run):
    results = run(seeds=(0,))
    table = compare_published(results)
    assert set(table["target"]) == {"IEMOCAP", "MSP-Podcast Test1"}
    assert len(table) == 2 * (9 + 4)
    np.testing.assert_allclose(table["here"] - table["published"], table["difference"])
    row = table.query("level == 'consensus' and strategy == 'mapped' and target == 'IEMOCAP' and output == 'valence'")
    assert row["published"].tolist() == [0.517] == [PUBLISHED["consensus", "mapped"]["IEMOCAP"][1]]
    assert compare_published(results.assign(target="another")).empty
