"""Principal components by hand and against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from millis.errors import MillisError
from millis.models import embeddings


def test_points_on_a_line_have_one_component():
    """(0, 0), (3, 4), (6, 8) lie on one line: mean (3, 4), axis (0.6, 0.8), coordinates -5, 0, 5."""
    components = embeddings.principal_components(torch.tensor([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]]), 1, "size")
    torch.testing.assert_close(components.projected, torch.tensor([[-5.0], [0.0], [5.0]]))
    torch.testing.assert_close(components.mean, torch.tensor([3.0, 4.0]))
    torch.testing.assert_close(components.axes, torch.tensor([[0.6], [0.8]]))


def test_components_agree_with_scikit_learn_up_to_sign():
    table = torch.randn(200, 12, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 13)
    ours = embeddings.principal_components(table, 5, "size").projected.numpy()
    np.testing.assert_allclose(np.abs(ours), np.abs(PCA(5).fit_transform(table.numpy())), atol=1e-3)


def test_all_components_restore_the_table():
    table = torch.randn(50, 8, generator=torch.Generator().manual_seed(1))
    projected, mean, axes = embeddings.principal_components(table, 8, "size")
    torch.testing.assert_close(projected @ axes.T + mean, table, atol=1e-5, rtol=0)


def test_word_vectors_have_root_mean_square_one(teacher):
    vectors = embeddings.word_vectors(teacher, 8, "size")
    assert vectors.shape == (100, 8)
    assert vectors.square().mean().sqrt().item() == pytest.approx(1.0)
    assert torch.equal(vectors, embeddings.word_vectors(teacher, 8, "size"))


def test_more_dimensions_than_the_teacher(teacher):
    with pytest.raises(MillisError) as error:
        embeddings.word_vectors(teacher, 33, "student.embedding_size")
    assert str(error.value) == (
        "student.embedding_size=33 is larger than the teacher's 32: its vectors hold no more. Choose at most 32"
    )
