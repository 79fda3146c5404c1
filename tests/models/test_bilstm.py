"""The two one-way LSTMs against torch's bidirectional LSTM on packed sequences."""

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from millis import models
from millis.models import embeddings
from millis.models.bilstm import BiLstmStudent


def test_states_equal_a_packed_bidirectional_lstm(teacher, batch):
    student = BiLstmStudent(embedding_size=8, hidden_size=6)
    model = models.build(student.spec(teacher.spec)).eval()
    reference = torch.nn.LSTM(8, 6, batch_first=True, bidirectional=True)
    reference.load_state_dict(
        {
            **model.forwards.state_dict(),
            **{f"{name}_reverse": value for name, value in model.backwards.state_dict().items()},
        }
    )
    (ids, mask), lengths = batch(3, 7), torch.tensor([7, 1, 4])
    mask[1, 1:], mask[2, 4:] = 0, 0
    with torch.no_grad():
        packed = pack_padded_sequence(model.embedding(ids), lengths, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(reference(packed)[0], batch_first=True, padding_value=-1.0)
        torch.testing.assert_close(model(ids, mask), model.head(states.amax(dim=1)), atol=1e-6, rtol=0)


def test_student_reads_the_teachers_vocabulary(teacher):
    student = BiLstmStudent(embedding_size=8, hidden_size=6)
    spec = student.spec(teacher.spec)
    model = models.build(spec)
    student.initialise(model, teacher)
    assert torch.equal(model.embedding.weight, embeddings.word_vectors(teacher, 8, "size"))
    assert spec.outputs[0].width == 3
    assert student.describe(spec) == "bilstm 6 e8"
