"""Cached features against the teacher asked one text at a time."""

import pickle

import numpy as np
import pytest
import torch

from millis.data.batches import Rows
from millis.distillation import teacher_cache
from millis.distillation.feature_cache import cache_bytes, cached_features
from millis.distillation.teacher_cache import BATCH
from millis.errors import MillisError
from millis.models.features import Feature, Sizes, capture, sizes

WANTED = [Feature("hidden", 3), Feature("embedding", 0), Feature("query", 1), Feature("value", 1)]


@pytest.fixture
def many(encoded):
    """Two batches of the teacher's and a remainder, lengths 1 to 9."""
    generator = np.random.default_rng(1)
    return Rows(encoded([generator.integers(4, 50, generator.integers(1, 10)) for _ in range(2 * BATCH + 7)]), 0)


def files(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


@pytest.mark.parametrize("model_type", ["bert", "distilbert"])
def test_every_token_of_every_row_is_kept_in_half_precision(encoder, many, tmp_path, model_type):
    teacher = encoder(model_type, heads=[4, 3, 2, 1])
    cache = cached_features(teacher, sizes(teacher.spec, "teacher"), WANTED, many, tmp_path / "t")
    rows = torch.tensor([200, 3, 77, 262])
    found = cache.batch(rows)
    lengths = many.encoded.lengths[rows.numpy()]
    assert {feature: value.shape[1:] for feature, value in found.items()} == {
        feature: (lengths.max(), 12 if feature.layer == 1 else 16) for feature in WANTED
    }
    assert all(value.dtype == torch.float16 for value in found.values())
    for place, row in enumerate(rows.tolist()):
        one = many.__getitems__([row])
        with capture(teacher, WANTED) as expected, torch.no_grad():
            teacher(one["input_ids"], one["attention_mask"])
        for feature in WANTED:
            cached = found[feature][place, : lengths[place]].float()
            torch.testing.assert_close(cached, expected[feature][0], rtol=2**-10, atol=1e-4)
            assert not found[feature][place, lengths[place] :].any()


def test_the_size_is_known_before(encoder, many, tmp_path):
    teacher = encoder(heads=[4, 3, 2, 1])
    size = sizes(teacher.spec, "teacher")
    tokens = len(many.encoded.ids)
    assert cache_bytes(WANTED, size, tokens) == tokens * 2 * (16 + 16 + 12 + 12)
    assert cache_bytes([Feature("key", 3)], Sizes(768, (12, 12, 12, 12), 64), 1000) == 1000 * 2 * 768
    cached_features(teacher, size, WANTED, many, tmp_path / "t")
    header = 128  # of an .npy file
    written = sum((tmp_path / "t" / name).stat().st_size for name in files(tmp_path / "t"))
    assert written == cache_bytes(WANTED, size, tokens) + header * len(WANTED)


def test_features_that_lie_there_are_shared_and_the_others_added(encoder, many, tmp_path):
    teacher = encoder()
    size = sizes(teacher.spec, "teacher")
    first = cached_features(teacher, size, WANTED[:2], many, tmp_path)
    assert files(tmp_path) == ["embedding-0.npy", "hidden-3.npy"]
    times = (tmp_path / "hidden-3.npy").stat().st_mtime_ns
    second = cached_features(teacher, size, WANTED[:3], many, tmp_path)
    assert files(tmp_path) == ["embedding-0.npy", "hidden-3.npy", "query-1.npy"]
    assert (tmp_path / "hidden-3.npy").stat().st_mtime_ns == times
    assert np.array_equal(first.arrays[WANTED[0]], second.arrays[WANTED[0]])
    teacher.forward = lambda **_: pytest.fail("the teacher ran again")
    third = cached_features(teacher, size, WANTED[1:3], many, tmp_path)
    assert set(third.arrays) == set(WANTED[1:3])


def test_arrays_stay_on_disk(encoder, many, tmp_path):
    teacher = encoder()
    cache = cached_features(teacher, sizes(teacher.spec, "teacher"), WANTED, many, tmp_path)
    assert all(isinstance(array, np.memmap) for array in cache.arrays.values())


def test_the_teacher_is_evaluated_without_dropout(encoder, many, tmp_path):
    teacher = encoder().train()
    one = cached_features(teacher, sizes(teacher.spec, "teacher"), WANTED, many, tmp_path / "1")
    two = cached_features(teacher.train(), sizes(teacher.spec, "teacher"), WANTED, many, tmp_path / "2")
    assert all(np.array_equal(one.arrays[feature], two.arrays[feature]) for feature in WANTED)


def test_what_half_precision_cannot_hold_is_refused_and_leaves_nothing(encoder, many, tmp_path):
    teacher = encoder()
    with torch.no_grad():
        teacher.encoder.encoder.layer[1].attention.self.query.bias += 1e5
    with pytest.raises(MillisError) as error:
        cached_features(teacher, sizes(teacher.spec, "teacher"), WANTED, many, tmp_path / "t")
    assert str(error.value) == (
        "the teacher's feature query/1 is outside half precision (±65,504) on some text: set distillation.cache=false "
        "to run the teacher in every step instead"
    )
    assert files(tmp_path / "t") == []


def test_a_file_of_another_split_is_not_taken(encoder, many, rows, tmp_path):
    teacher = encoder()
    size = sizes(teacher.spec, "teacher")
    cached_features(teacher, size, WANTED[:1], rows, tmp_path)
    with pytest.raises(MillisError, match=r"hidden-3.npy is damaged or gone \(ValueError: \(35, 16\) is not "):
        cached_features(teacher, size, WANTED[:1], many, tmp_path)
    (tmp_path / "hidden-3.npy").write_bytes(b"nothing")
    with pytest.raises(MillisError, match=r"hidden-3.npy is damaged or gone"):
        cached_features(teacher, size, WANTED[:1], rows, tmp_path)


def test_shards_change_nothing(encoder, many, tmp_path, monkeypatch):
    teacher = encoder()
    whole = cached_features(teacher, sizes(teacher.spec, "teacher"), WANTED[:2], many, tmp_path / "whole")
    monkeypatch.setattr(teacher_cache, "SHARD", 1)
    parts = cached_features(teacher, sizes(teacher.spec, "teacher"), WANTED[:2], many, tmp_path / "parts")
    for feature in WANTED[:2]:
        assert np.array_equal(parts.arrays[feature], whole.arrays[feature])
    assert [path for path in (tmp_path / "parts").iterdir() if path.is_dir()] == []


def test_what_travels_to_another_process_is_where_it_lies(encoder, many, tmp_path):
    teacher = encoder()
    cache = cached_features(teacher, sizes(teacher.spec, "teacher"), WANTED[:1], many, tmp_path / "t")
    sent = pickle.dumps(cache)
    assert len(sent) < many.encoded.offsets.nbytes + 1000
    arrived = pickle.loads(sent)
    rows = torch.tensor([5, 77])
    assert torch.equal(arrived.batch(rows)[WANTED[0]], cache.batch(rows)[WANTED[0]])
