import numpy as np
import pytest

from millis.errors import MillisError
from millis.storage.archive import Archive
from millis.storage.archived import FILE_NAME, Archived, archive_of, read_bytes, read_tensors
from millis.storage.sharing import Sharing

TENSORS = {
    "model.bin#weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "model.bin#bias": np.zeros(3, np.float32),
    "model.bin": np.frombuffer(b"graph", np.uint8),
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model.bin").write_bytes(b"graph and weights")
    (tmp_path / "tokenizer.json").write_bytes(b"{}" * 100)
    return tmp_path


def packed(folder, **changes):
    return Archived(**{"bandwidth_mb_per_s": 1, "codecs": ("zlib",), "lossy": (), **changes}).pack(folder, TENSORS)


def test_all_files_go_into_one(folder):
    assert packed(folder) == {"bytes_before": 217, "notes": []}
    assert [path.name for path in folder.iterdir()] == [FILE_NAME]
    assert set(Archive(folder / FILE_NAME).entries) == {*TENSORS, "tokenizer.json"}


def test_files_are_read_wherever_they_are(folder):
    assert archive_of(folder / "tokenizer.json") is None
    assert read_bytes(folder / "tokenizer.json") == b"{}" * 100
    packed(folder)
    assert read_bytes(folder / "tokenizer.json") == b"{}" * 100
    assert read_bytes(folder / "model.bin") == b"graph"  # without its weights, which are by themselves
    tensors = read_tensors(archive_of(folder / "model.bin"), "model.bin", threads=2)
    assert list(tensors) == ["weight", "bias"]
    assert np.array_equal(tensors["weight"], TENSORS["model.bin#weight"])


def test_a_file_that_is_nowhere(folder):
    with pytest.raises(
        MillisError, match=r"cannot read .*labels.json: No such file or directory. Make the artifact again"
    ):
        read_bytes(folder / "labels.json")
    packed(folder)
    with pytest.raises(MillisError, match=r"has no tensor 'tokeniser.json' \(did you mean 'tokenizer.json'\?\)"):
        read_bytes(folder / "tokeniser.json")


def test_lossy_steps_follow_one_another_and_tell_what_they_did(folder):
    class Halved:
        def __init__(self, name):
            self.name = name

        def describe(self):
            return self.name

        def apply(self, tensors):
            halved = {name: tensor // 2 if tensor.dtype == np.float32 else tensor for name, tensor in tensors.items()}
            return halved, f"{self.name} halved all"

    steps = [Halved("first"), Halved("second")]
    assert packed(folder, lossy=steps)["notes"] == ["first halved all", "second halved all"]
    weight = Archive(folder / FILE_NAME)["model.bin#weight"]
    assert weight.reshape(-1).tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]
    assert Archived(1, (), steps).describe() == "first second"


def test_names_of_recipes():
    assert Archived(1, (), ()).describe() == "archive"
    assert Archived(1, (), [Sharing(4, ())]).describe() == "shared 4"


def test_faults_are_found_when_the_config_is_read():
    with pytest.raises(MillisError, match="codec 'brotli' is unknown"):
        Archived(1, ("brotli",), ())
    with pytest.raises(MillisError, match=r"storage.bandwidth_mb_per_s=0: expected a positive number"):
        Archived(0, (), ())
