"""The student's own answers in the place of the data's: batches and the loss by hand, the same with the same seed."""

import numpy as np
import pytest
import torch
from causal import VOCABULARY, writer
from sides import answering

from millis.data.batches import Rows
from millis.data.encode import TARGETS, Encoded
from millis.data.references import IGNORED
from millis.distillation import ensemble
from millis.distillation.contract import Pair
from millis.distillation.on_policy import OnPolicy
from millis.errors import MillisError
from millis.training import on_policy
from millis.training.callbacks import OnlineTeacher
from millis.training.fit import Fit
from millis.training.module import TextModule
from millis.training.on_policy import OwnAnswers, answered
from millis.training.optim import AdamW
from millis.training.teaching import teaching
from millis.types import Output

NEXT = Output("next", "token", VOCABULARY, "next")


def batch_of(name, rows, types=None):
    """Token ids and targets of each text; padded with 0."""
    longest = max(len(ids) for ids, _ in rows)
    padded = [
        [[*one, *[fill] * (longest - len(one))] for one, fill in zip(row, (0, IGNORED), strict=True)] for row in rows
    ]
    ids, targets = (torch.tensor([row[place] for row in padded]) for place in (0, 1))
    mask = (torch.arange(longest) < torch.tensor([[len(ids)] for ids, _ in rows])).long()
    found = {"input_ids": ids, "attention_mask": mask, "rows": torch.arange(len(rows)), TARGETS + name: targets}
    return found if types is None else {**found, "token_type_ids": torch.tensor(types)}


@pytest.fixture
def own(monkeypatch):
    """What is sampled: 40, 41, 42, ..., the first text's end after two; and what it is asked with."""
    asked = []

    def sampled(model, prompts, mask, most):
        asked.append((prompts.tolist(), mask.tolist(), most))
        kept = torch.ones(len(prompts), most, dtype=torch.bool)
        kept[0, 2:] = False
        return torch.arange(40, 40 + most).expand(len(prompts), most), kept

    monkeypatch.setattr(on_policy, "sampled", sampled)
    return asked


def test_answers_are_replaced_behind_what_is_read(own):
    # [5, 6, 3] is read, 3 being what the decoder begins with, and [7, 8, 2] was right; of the other [9, 3] and [2].
    rows = [
        ([5, 6, 3, 7, 8, 2], [IGNORED, IGNORED, 7, 8, 2, IGNORED]),
        ([9, 3, 2], [IGNORED, 2, IGNORED]),
        ([9, 9, 9, 9], [IGNORED] * 4),  # nothing of the answer was left
    ]
    batch = batch_of("reply", rows, types=[[0, 0, 0, 1, 1, 1], [0, 0, 1, 0, 0, 0], [0] * 6])
    found = answered(answering(), batch, 0)
    assert own == [([[5, 6, 3, 0], [9, 3, 0, 0], [9, 9, 9, 9]], [[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 1]], 3)]
    assert found["input_ids"].tolist() == [[5, 6, 3, 40, 41], [9, 3, 40, 41, 42], [9, 9, 9, 9, 0]]
    assert found["attention_mask"].tolist() == [[1] * 5, [1] * 5, [1, 1, 1, 1, 0]]
    assert found["token_type_ids"].tolist() == [[0, 0, 0, 1, 1], [0, 0, 1, 1, 1], [0] * 5]
    none = IGNORED
    assert found[f"{TARGETS}reply"].tolist() == [[none, none, 40, 41, none], [none, 40, 41, 42, none], [none] * 5]


def test_a_text_that_goes_on_keeps_its_first_half(own):
    rows = [([1, 5, 6, 7, 8], [5, 6, 7, 8, IGNORED]), ([1, 9, 2], [9, 2, IGNORED])]
    found = answered(writer(), batch_of("next", rows), 0)
    assert own == [([[1, 5, 6], [1, 9, 0]], [[1, 1, 1], [1, 1, 0]], 2)]
    assert found["input_ids"].tolist() == [[1, 5, 6, 40, 41], [1, 9, 40, 41, 0]]
    none = IGNORED
    assert found[f"{TARGETS}next"].tolist() == [[none, none, 40, 41, none], [none, 40, 41, none, none]]
    assert set(found) == {"input_ids", "attention_mask", f"{TARGETS}next"}


def test_no_answer_is_longer_than_the_model_reads(own):
    rows = [([4] * 94, [IGNORED, *[5] * 92, IGNORED])]  # of 96 places
    model = writer()
    answered(model, batch_of("next", rows), 0)
    assert own[0][2] == 47
    full = batch_of("reply", [([4] * 95 + [3], [*[IGNORED] * 94, 3, IGNORED])])
    own.clear()
    object.__setattr__(model.spec, "outputs", (NEXT._replace(name="reply"),))
    answered(model, full, 0)
    assert own[0][2] == 1  # what was read leaves one place


@pytest.fixture
def rows():
    generator = np.random.default_rng(0)
    lengths = generator.integers(4, 9, 12)
    offsets = np.concatenate([[0], lengths.cumsum()])
    ids = generator.integers(3, VOCABULARY, offsets[-1])
    targets = np.append(ids[1:], IGNORED)
    targets[offsets[1:] - 1] = IGNORED
    return Rows(Encoded(ids, None, offsets, {"next": targets}, (NEXT,), 0), 0)


def trained(rows, folder, share):
    pair = Pair(writer(seed=1), writer(seed=2).eval(), rows, rows)
    method = OnPolicy(share=share)
    objective = method.objective(rows.encoded, pair)
    taught = teaching(method, objective, pair, folder, list)
    assert [type(one) for one in taught.callbacks] == [OwnAnswers, OnlineTeacher] and not taught.cached
    module = TextModule(pair.student, objective, AdamW(lr=0.01, head_lr=0.01), lambda *_: 0.0)
    Fit(max_epochs=2, batch_size=6, accelerator="cpu")(
        module, rows.encoded, rows.encoded, 0, folder=folder, seed=0, title="toy", callbacks=taught.callbacks
    )
    return torch.cat([weight.flatten() for weight in module.model.state_dict().values()])


def test_one_seed_is_one_training_and_own_answers_are_another_one(rows, tmp_path):
    first, again, data = (
        trained(rows, tmp_path / name, share) for name, share in (("a", 1.0), ("b", 1.0), ("c", 1e-9))
    )
    assert torch.equal(first, again) and not torch.equal(first, data)


def test_the_loss_is_the_divergence_at_the_students_own_tokens(rows):
    pair = Pair(writer(seed=1), writer(seed=2).eval(), rows, rows)
    batch = rows.__getitems__([0, 1, 2])
    module = TextModule(pair.student, OnPolicy(1.0).objective(rows.encoded, pair), AdamW(lr=0.01, head_lr=0.01), max)
    torch.manual_seed(0)
    OwnAnswers(1.0, 0).on_train_batch_start(None, module, batch)
    OnlineTeacher(pair.teacher).on_train_batch_start(None, module, batch)
    loss, terms = module.loss(batch)
    expected = []
    for ids, mask, targets in zip(
        *(batch[key] for key in ("input_ids", "attention_mask", f"{TARGETS}next")), strict=True
    ):
        text = ids[mask > 0][None]  # alone, without padding
        p, q = (model(text, torch.ones_like(text))[0].detach().softmax(-1) for model in (pair.teacher, pair.student))
        middle = (p + q) / 2
        both = ((p * (p / middle).log()).sum(-1) + (q * (q / middle).log()).sum(-1)) / 2
        expected.append(both[targets[mask > 0] != IGNORED])
    assert list(terms) == ["jensen_shannon"]
    assert loss.item() == pytest.approx(float(torch.cat(expected).mean()), rel=1e-4)
    assert not torch.equal(batch["input_ids"], rows.__getitems__([0, 1, 2])["input_ids"])


@pytest.mark.parametrize("share", [0.0, 1.1, -0.5])
def test_a_share_of_the_batches(share):
    with pytest.raises(
        MillisError, match=rf"distillation.share={share}: expected a share of the batches, above 0 to 1"
    ):
        OnPolicy(share)


def test_what_cannot_be_is_refused():
    with pytest.raises(MillisError, match="logit_loss='kl' is unknown; expected one of"):
        OnPolicy(logit_loss="kl")
    with pytest.raises(
        MillisError, match="has the student write, and this task's answers are chosen: expected task=tr"
    ):
        OnPolicy.check_outputs((Output("logits", "text", 3),))
    OnPolicy.check_outputs((NEXT,))
    with pytest.raises(
        MillisError, match=r"ensemble=\[1\] averages answers that are kept beforehand.*Choose ensemble=\["
    ):
        ensemble.check([1], 0, OnPolicy())


def test_the_teacher_reads_the_same_tokens(rows):
    other = Rows(rows.encoded, 0)
    with pytest.raises(MillisError, match=r"the two have different tokenizers\. Keep the teacher's"):
        OnPolicy().objective(rows.encoded, Pair(writer(), writer(), rows, other))
