from millis.backends.runner import load
from millis.benchmark.quality import answer


def test_every_text_is_answered_and_long_ones_are_counted(artifact):
    seen = []
    answers = answer(load(artifact("tiny")), ["a", "a a a", " ".join("a" * 12)], progress=seen.append)
    # Logits are (0, number of tokens); 8 is the longest.
    assert answers.logits.tolist() == [[0, 1], [0, 3], [0, 8]]
    assert answers.predictions == [1, 1, 1]
    assert answers.truncated == 1
    assert seen == [1, 2, 3]


def test_no_texts(artifact):
    answers = answer(load(artifact("tiny")), [])
    assert (answers.predictions, answers.logits.shape, answers.truncated) == ([], (0, 2), 0)
