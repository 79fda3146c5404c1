"""Answers sampled in batches: against one text at a time without keys and values kept, and by their frequencies."""

import pytest
import torch
from causal import CAUSAL, writer
from sides import KINDS, answering

from millis.models.sampling import sampled

LENGTHS = (1, 5, 9)


def certain(model):
    """Its logits so far apart that sampling takes the likeliest."""
    (head,) = model.classifiers()
    with torch.no_grad():
        head.weight.mul_(1e4)
    return model


def prompts(starts=()):
    """Texts of several lengths, padded on the right, and their mask."""
    generator = torch.Generator().manual_seed(0)
    rows = [torch.cat([torch.randint(4, 48, (length,), generator=generator), *starts]) for length in LENGTHS]
    longest = max(map(len, rows))
    ids = torch.stack([torch.cat([row, torch.zeros(longest - len(row), dtype=torch.long)]) for row in rows])
    return ids, (torch.arange(longest) < torch.tensor([[len(row)] for row in rows])).long()


def alone(model, ids, most, types):
    """What one text [S] goes on with, greedily, read anew as a whole for each token."""
    found, prompt = [], len(ids)
    while len(found) < most:
        kinds = {"token_type_ids": (torch.arange(len(ids)) >= prompt).long()[None]} if types else {}
        with torch.no_grad():
            logits = model(ids[None], torch.ones_like(ids)[None], **kinds)[0, -1]
        found.append(int(logits.argmax()))
        if found[-1] in model.spec.ends:
            break
        ids = torch.cat([ids, torch.tensor(found[-1:])])
    return found


def agrees(model, ids, mask, types):
    own, kept = sampled(model, ids, mask, 7)
    for row in range(len(ids)):
        assert own[row][kept[row]].tolist() == alone(model, ids[row][mask[row] > 0], 7, types)
    return own


@pytest.mark.parametrize("kind", CAUSAL)
def test_a_batch_of_a_decoder_is_what_each_text_says_alone(kind):
    agrees(certain(writer(kind, tied=False)), *prompts(), types=False)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_an_encoder_decoder_is_what_each_text_says_alone(kind):
    agrees(certain(answering(kind, tied=False)), *prompts((torch.tensor([3]),)), types=True)


def test_texts_that_have_ended_are_left_out():
    ids, mask = prompts()
    model = certain(writer(tied=False))
    whole, kept = sampled(model, ids, mask, 7)
    assert bool(kept.all())
    model.spec.encoder["eos_token_id"] = int(whole[1, 2])
    own, kept = sampled(model, ids, mask, 7)
    assert torch.equal(own, whole[:, : own.shape[1]])
    ended = [row.tolist().index(int(whole[1, 2])) + 1 if whole[1, 2] in row else 7 for row in whole]
    assert ended[1] == 3 and kept.sum(dim=1).tolist() == [min(end, own.shape[1]) for end in ended]


def test_tokens_come_as_often_as_the_model_says():
    model, count = writer(), 4000
    ids = torch.tensor([[5, 9, 11]]).expand(count, 3)
    with torch.no_grad():
        shares = model(ids[:1], torch.ones(1, 3, dtype=torch.long))[0, -1].softmax(dim=-1)
    torch.manual_seed(0)
    own, _ = sampled(model, ids, torch.ones_like(ids), 1)
    found = torch.bincount(own[:, 0], minlength=len(shares)) / count
    spread = (shares * (1 - shares) / count).sqrt()
    assert bool(((found - shares).abs() <= 4.5 * spread + 1e-3).all())
    torch.manual_seed(0)
    assert torch.equal(sampled(model, ids, torch.ones_like(ids), 1)[0], own)


def test_modes_are_put_back():
    model = writer().train()
    model.head.eval()
    sampled(model, *prompts(), 2)
    assert model.training and model.encoder.training and not model.head.training
