import pandas as pd
import pytest
import yaml
from huggingface_hub import ModelCard
from sklearn.exceptions import NotFittedError

from sklearn_annoser.sharing import model_card
from tests.sharing.cases import MODELS, NEW, NEW_RATINGS, RATINGS, fitted, regressor

SCORES = pd.DataFrame({("valence", "mean"): [0.51234], ("valence", "std"): [0.1]}, index=pd.Index(["a|b"], name="by"))


@pytest.mark.parametrize("name", [name for name in MODELS if name != "net"])
def test_a_card_tells_what_the_model_knows_of_itself_and_names_nobody(name):
    model, _ = fitted(name)
    card = model_card(model, title="Größe\nzwei", corpora={"Ours": RATINGS, "Theirs": "of 2019"}, scores=SCORES)
    read = ModelCard(card)
    assert read.data.library_name == "sklearn_annoser"
    assert yaml.safe_load(card.split("---")[1])["tags"][1] == "skops"
    for part in ("# Größe zwei", "120 samples", "of 2019", r"| a\|b | 0.512 | 0.100 |", "Heads describe people"):
        assert part in card
    last = model[-1] if hasattr(model, "steps") else model
    assert f"| annotators | {len(last.annotators_)} |" in card
    assert not any(each in card for each in last.annotators_ if each != "consensus")
    assert all(each in model_card(model, with_names=True) for each in last.annotators_)


def test_the_card_of_a_mapper_and_of_a_person():
    model, _ = fitted("mapped table")
    assert f"| enrollment ratings | {NEW_RATINGS.n_ratings} |" in model_card(model)
    person = model.of(NEW)
    assert NEW not in model_card(person)
    assert NEW in model_card(person, with_names=True)


def test_wrong_arguments_are_named():
    model, _ = fitted("mapper")
    with pytest.raises(NotFittedError):
        model_card(regressor())
    with pytest.raises(TypeError, match="corpora must be a dict"):
        model_card(model, corpora=["MSP"])
    with pytest.raises(TypeError, match=r"corpora\['a'\] must be Ratings or text, got int"):
        model_card(model, corpora={"a": 3})
    with pytest.raises(TypeError, match="scores must be a DataFrame"):
        model_card(model, scores=[1])
    with pytest.raises(ValueError, match="a row for each annotator"):
        model_card(model, scores=pd.DataFrame({"annotator": ["ann"], "ccc": [0.1]}))
