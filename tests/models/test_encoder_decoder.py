"""Encoder-decoders: the architectures of transformers, over rows that hold both texts."""

import pytest
import torch
from sides import KINDS, REPLY, after_each, answering, of_transformers, row, spec_of
from specs import changed

from millis import models
from millis.errors import MillisError
from millis.models.encoder_decoder import taken_apart


@pytest.mark.parametrize("kind", KINDS)
def test_it_computes_what_transformers_does(kind):
    model = answering(kind)
    ids, mask, types = row(source=7, written=5)
    with torch.no_grad():
        theirs = of_transformers(model)(input_ids=ids[:, :7], decoder_input_ids=ids[:, 7:]).logits[0]
        logits = model(ids, mask, types)[0]
    torch.testing.assert_close(logits[7:], theirs, atol=1e-4, rtol=0)
    assert not logits[:7].any()


def test_a_bias_of_the_head_is_added():
    model = answering("marian", biased=True)
    (head,) = model.classifiers()
    plain = after_each(answering("marian"), *row())
    found = after_each(model, *row())
    torch.testing.assert_close(torch.tensor(found - plain)[7:], head.bias.detach().expand(6, -1), atol=1e-4, rtol=0)


def test_rows_are_taken_apart_by_hand():
    #            read 1 4 | begins 3 | written 5 2           read 1 6 7 | begins 3 | written nothing
    ids = torch.tensor([[1, 4, 3, 5, 2], [1, 6, 7, 3, 0]])
    mask, types = torch.tensor([[1] * 5, [1, 1, 1, 1, 0]]), torch.tensor([[0, 0, 0, 1, 1], [0, 0, 0, 0, 0]])
    sides = taken_apart(ids, mask, types, starts=1)
    assert sides.source.tolist() == [[1, 4, 3], [1, 6, 7]] and sides.source_mask.tolist() == [[1, 1, 0], [1, 1, 1]]
    assert sides.written[0].tolist() == [3, 5, 2] and sides.written[1, 0] == 3
    assert sides.written_mask.tolist() == [[True] * 3, [True, False, False]]
    assert sides.places[0].tolist() == [2, 3, 4]


def test_without_types_nothing_is_written_yet():
    ids, mask, _ = row(written=0)
    model = answering()
    assert torch.equal(model(ids, mask), model(ids, mask, torch.zeros_like(ids)))


@pytest.mark.parametrize("kind", KINDS)
def test_rows_do_not_depend_on_each_other_and_on_padding(kind):
    model = answering(kind)
    rows = [row(seed, source, written) for seed, source, written in ((0, 3, 6), (1, 8, 1), (2, 2, 2))]
    width = max(ids.shape[1] for ids, *_ in rows) + 2
    batch = [torch.cat([torch.nn.functional.pad(part, (0, width - part.shape[1])) for part in parts])
             for parts in zip(*rows, strict=True)]  # fmt: skip
    with torch.no_grad():
        together = model(*batch)
        for one, parts in zip(together, rows, strict=True):
            torch.testing.assert_close(one[: parts[0].shape[1]], model(*parts)[0], atol=1e-4, rtol=0)


def test_logits_where_they_are_asked_for_alone():
    model, rows = answering(), [row(0, 3, 6), row(1, 5, 4)]
    ids, mask, types = (torch.cat(parts) for parts in zip(*rows, strict=True))
    asked = (types == 1) & (ids % 2 == 0)
    assert 0 < asked.sum() < (types == 1).sum()
    torch.testing.assert_close(model(ids, mask, types, asked), model(ids, mask, types)[asked])


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_learns(kind):
    model = answering(kind, tied=False, biased=True)
    (model(*row(source=9, written=9)) ** 2).sum().backward()
    still = {name for name, one in model.named_parameters() if one.grad is None or not one.grad.any()}
    # A key's bias shifts every score of a query alike; sines are no weights.
    assert all(name.endswith(("k_proj.bias", "embed_positions.weight")) for name in still), still


def test_what_is_written_does_not_look_ahead():
    model, (ids, mask, types) = answering(), row()
    other = ids.clone()
    other[0, -1] += 1
    assert torch.equal(model(ids, mask, types)[0, :-1], model(other, mask, types)[0, :-1])


def test_table_and_output_matrix_are_one():
    model = answering()
    assert model.head["reply"].weight is model.encoder.get_input_embeddings().weight
    assert models.build(model.spec).head["reply"].weight.shape == (REPLY.width, 24)
    assert models.max_length(model.spec) == 64 and model.spec.ends == (2,) and model.spec.rows == REPLY.width


def test_other_outputs_are_refused():
    with pytest.raises(MillisError) as error:
        models.build(changed(spec_of(), outputs=[["next", "token", REPLY.width, "next"]]))
    assert str(error.value) == (
        "a 't5' model reads one text and writes another, and the task asks for next: expected task=translation or "
        "task=summarisation. Or choose an encoder (model=scratch) or a decoder (model=scratch_decoder)"
    )


def test_layers_without_heads_are_refused():
    with pytest.raises(MillisError, match="a layer has no heads left: expected at least one in each layer"):
        models.build(changed(spec_of(), cross=[4, 0]))


def test_an_architecture_that_nobody_described_is_refused():
    with pytest.raises(MillisError) as error:
        models.build(changed(spec_of(), config={**KINDS["t5"], "model_type": "t6"}))
    assert str(error.value).startswith(
        "millis does not know the parts of a 't6' encoder-decoder: expected one of t5, bart, marian. Choose"
    )


def test_what_attention_takes_of_sides_with_heads_of_other_sizes():
    spec = spec_of("bart", encoder_attention_heads=2)
    assert spec.attention_width == 3 * 2 * 12 + 2 * (4 + 4) * 6
