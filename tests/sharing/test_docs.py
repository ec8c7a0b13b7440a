"""The pages on sharing, and the recipes, are run."""

import importlib.util
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from tests.encoders.conftest import save_text

DOCS = Path(__file__).parents[2] / "docs"
START, *PARTS = (DOCS / "recipes.md").read_text(encoding="utf-8").split("\n## ")
RECIPES = {part.splitlines()[0]: part for part in PARTS}
NEEDED = {
    "Optuna": ["optuna"],
    "MLflow": ["mlflow"],
    "TensorBoard": ["tensorboard"],
    "Dask": ["distributed", "transformers"],
    "Ray": ["ray", "transformers"],
    "SHAP": ["shap"],
}


def code_of(text):
    """Return the blocks of code of a page, or of a part of one."""
    return re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)


# Packages of others warn of their own affairs.
QUIET = pytest.mark.filterwarnings("ignore")


@QUIET
@pytest.mark.parametrize("title", RECIPES)
def test_recipes_run(title, tmp_path, monkeypatch):
    missing = [name for name in NEEDED.get(title, []) if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{missing[0]} is not installed")
    (start,), code = code_of(START), "".join(code_of(RECIPES[title]))
    assert len(code.splitlines()) < 30
    monkeypatch.chdir(tmp_path)
    namespace = {"MODEL": save_text(tmp_path / "model")} if "MODEL" in code else {}
    exec(compile(start + code, f"recipes.md: {title}", "exec"), namespace)
    if title == "Grid search over all of it":
        assert namespace["best"].best_params_.keys() == {"strategy", "calibration"}
    if title == "MLflow":
        code = (
            "import sys, mlflow\nfrom sklearn_annoser.datasets import make_corpora\n"
            "mlflow.set_tracking_uri('sqlite:///mlflow.db')\nmapper = mlflow.sklearn.load_model(sys.argv[1])\n"
            "X = make_corpora(n_samples=200, n_annotators=8, random_state=0)[1].X\n"
            "print(repr(mapper.of('target_003').predict(X)[0, 0].item()))"
        )
        command = [sys.executable, "-c", code, namespace["logged"].model_uri]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        predicted = namespace["mapper"].predict(namespace["target"].X, annotator="target_003")
        assert float(run.stdout.split()[-1]) == predicted[0, 0]
    if title == "TensorBoard":
        assert list((tmp_path / "runs").iterdir())


def test_there_is_a_recipe_for_everything():
    assert {*NEEDED, "Grid search over all of it", "New people every day"} == set(RECIPES)


@QUIET
def test_the_page_on_sharing_runs(tmp_path, monkeypatch):
    """The Hub is a folder."""
    import huggingface_hub

    hub = tmp_path / "hub"
    monkeypatch.setattr(
        huggingface_hub, "upload_folder", lambda *, repo_id, folder_path: shutil.copytree(folder_path, hub / repo_id)
    )
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda repo_id: str(hub / repo_id))
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for block in code_of((DOCS / "sharing.md").read_text(encoding="utf-8")):
        if "onnxruntime" in block and None in map(importlib.util.find_spec, ("onnxruntime", "onnxscript")):
            warnings.warn("the block on ONNX needs onnxruntime and onnxscript", stacklevel=1)
            continue
        exec(compile(block, "sharing.md", "exec"), namespace)
