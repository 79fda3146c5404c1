"""Ranking: students beside their teacher, a ridge regression, and a random order.

    python benchmarks/ranking.py FOLDER [key=value ...]

Runs `millis compress task=ranking` with each recipe, one after the other, and prints one table. The ridge regression
is of TF-IDF of words and pairs of words, on what models learn; its strength is chosen on validation. Nothing that lies
trained already is trained again, so a run that was broken off goes on.
"""

import sys

import numpy as np
from recipes import COLUMNS, cells, compressed, qualities
from results import Table
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge

from millis.cli.hydra_app import composed
from millis.cli.recipes import inputs_of
from millis.data.dataset import Split
from millis.metrics import judged
from millis.pipeline.inputs import Inputs
from millis.report.tables import frontier_rows
from millis.sweep.frontier import frontier
from millis.tasks.judging import Judgement, judge

RECIPES = (
    ["student.layers=3", "quantization=dynamic"],
    ["student.layers=2", "quantization=dynamic"],
    ["student=bilstm", "quantization=dynamic"],
    ["student=static"],
)
STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0)


def main() -> int:
    folder, *overrides = sys.argv[1:]
    given = ["task=ranking", "data=local", f"data.path={folder}", "logger=none", *overrides]
    inputs = inputs_of(composed("compress", given))
    metrics = list(judged(inputs.task.metrics()))
    records = {record.id: record for recipe in RECIPES for record in compressed([*given, *recipe])}
    columns = ("model", *(name.replace("_", " ") for name in metrics), *COLUMNS)
    with Table(*columns, title=inputs.dataset.name) as table:
        for name, judgement in (("random order", random_order(inputs)), ("ridge regression", ridge(inputs))):
            table.row(name, *qualities(metrics, judgement.values, judgement.intervals), "", "", "", "")
        found = list(records.values())
        for row in frontier_rows(found, frontier(found)):
            table.row(*cells(row, metrics))
    return 0


def random_order(inputs: Inputs) -> Judgement:
    """What equal scores are worth."""
    test = inputs.dataset.test
    return judge(inputs.task, [0.0] * len(test), test.references)


def ridge(inputs: Inputs) -> Judgement:
    """A linear model of words and pairs of words."""
    train, validation, test = inputs.dataset.train, inputs.dataset.validation, inputs.dataset.test
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    rows = words.fit_transform(map(one, train.texts))
    (targets,) = inputs.task.references.targets(train.texts, train.references, [])
    models = [Ridge(alpha=strength, random_state=0).fit(rows, targets.astype(np.float64)) for strength in STRENGTHS]

    def judgement(model: Ridge, split: Split) -> Judgement:
        return judge(inputs.task, model.predict(words.transform(map(one, split.texts))).tolist(), split.references)

    return judgement(max(models, key=lambda model: judgement(model, validation).values[inputs.task.metric]), test)


def one(text: str | tuple[str, str]) -> str:
    """A pair as one text."""
    return text if isinstance(text, str) else " ".join(text)


if __name__ == "__main__":
    sys.exit(main())
