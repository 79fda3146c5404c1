"""A search tries what can answer as the task asks."""

import pytest
from omegaconf import OmegaConf

from millis.cli.capable import capable
from millis.cli.hydra_app import composed
from millis.errors import MillisError
from millis.sweep.space import Space

TAGGING = {"_target_": "millis.tasks.tagging.Tagging"}
LABELS = {"_target_": "millis.tasks.classification.Classification"}


def left(task, **entries):
    said = []
    space = Space.parse({key: {"choice": choices} for key, choices in entries.items()}, {})
    return capable(OmegaConf.create({"task": task}), space, said.append), said


def test_options_that_answer_texts_as_a_whole_are_left_out_where_words_are_asked():
    space, said = left(TAGGING, student=["static", "bilstm", "ngrams"], early_exit=["none", "joint"])
    assert space["student"].distribution.choices == ("bilstm",)
    assert space["early_exit"].distribution.choices == ("none",)
    assert said[0] == (
        "the search leaves out student=static: student=static answers a text as a whole, and tags answers each word of "
        "a text"
    )
    assert len(said) == 3


def test_all_are_tried_where_labels_are_asked():
    space, said = left(LABELS, student=["static", "bilstm", "ngrams"], tokens=["none", "learned"])
    assert space["student"].distribution.choices == ("static", "bilstm", "ngrams") and not said
    assert left(TAGGING)[1] == []


@pytest.mark.parametrize(
    ("model", "kept"), [("scratch_seq2seq", "encoder_decoder"), ("scratch_decoder", "transformer")]
)
def test_students_that_are_cut_out_of_other_models_are_left_out(model, kept):
    cfg = composed("sweep", ["task=translation", f"model={model}"])
    said = []
    space = capable(cfg, Space.parse(OmegaConf.to_container(cfg.study.space, resolve=True), {}), said.append)
    assert space["student"].distribution.choices == (kept,)
    assert [text for text in said if "the student is cut out of a model of the family" in text]


def test_a_search_of_nothing_else_is_refused():
    with pytest.raises(MillisError, match="no student of the search can answer as the task asks: student=static"):
        left(TAGGING, student=["static"])


def test_options_of_own_files_are_kept():
    assert left(TAGGING, student=["mine"])[0]["student"].distribution.choices == ("mine",)
