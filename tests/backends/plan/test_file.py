"""Plans' files: what is written is read again, and one that lies is refused, by Python and by the compiled part."""

import struct

import msgspec
import numpy as np
import pytest

from millis.backends.plan import file, library, packing, words
from millis.backends.plan.file import MAGIC
from millis.backends.plan.session import PlanSession
from millis.backends.plan.steps import Bag, Give, Linear, Matrix, Plan, Pool, Slot, Table, Tensor
from millis.errors import MillisError
from millis.types import Features

VOCABULARY, WIDTH, LABELS = 5, 3, 2
TABLE = np.arange(VOCABULARY * WIDTH, dtype=np.float32).reshape(VOCABULARY, WIDTH)
HEAD = np.array([[1, 0, 0], [0, 1, 1]], np.float32)
IDS = Features(np.array([[1, 3]]), np.ones((1, 2), np.int64), None)


def plan():
    """The mean of two rows times a head, and its tensors."""
    arrays = [
        packing.table_rows(TABLE), np.ones(VOCABULARY, np.float32), packing.panels(HEAD),
        packing.row(np.ones(LABELS, np.float32)),
    ]  # fmt: skip
    steps = [
        Bag(0, Table(VOCABULARY, WIDTH, "fp32", 0), 1),
        Linear(0, 1, Matrix(WIDTH, LABELS, "fp32", 2, bias=3)),
        Give(1, 0, LABELS),
    ]
    slots = [Slot("text", WIDTH), Slot("text", LABELS)]
    named = [(f"t{place}", array) for place, array in enumerate(arrays)]
    return Plan(slots, [Slot("text", LABELS)], steps, file.placed(named)), arrays


@pytest.fixture
def path(tmp_path):
    file.write(tmp_path / "model.plan", *plan())
    return tmp_path / "model.plan"


def rewritten(path, change):
    """The file with another header, a plain object that `change` edits."""
    mapped = file.read(path)
    values = msgspec.to_builtins(mapped.plan)
    change(values)
    header = msgspec.json.encode(values)
    begins = MAGIC + struct.pack("<Q", len(header)) + header
    changed = begins.ljust(file.aligned(len(begins)), b"\0") + bytes(mapped.data[mapped.start :])
    return np.frombuffer(changed, np.uint8)


@pytest.mark.usefixtures("instructions")
def test_what_is_written_computes(path):
    # Rows 1 and 3 are 3, 4, 5 and 9, 10, 11: their mean 6, 7, 8, and with the head 6 + 1 and 15 + 1.
    assert PlanSession(file.read(path))(IDS)[0].tolist() == [[7, 16]]


def test_tensors_lie_on_lines():
    arrays = [np.zeros(3, np.float32), np.zeros((5, 13), np.int8), np.zeros(1, np.float32)]
    found = file.placed([("a", array) for array in arrays])
    assert [(tensor.shape, tensor.offset) for tensor in found] == [([3], 0), ([5, 13], 64), ([1], 192)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot read .*model.plan: .*Make the artifact again"),
        (b"MILLISN", "does not begin as a plan does. Make the artifact again"),
        (b"MILLISN2" + bytes(64), "does not begin as a plan does"),
        (MAGIC + struct.pack("<Q", 100) + bytes(50), "its header of 100 bytes goes beyond its 66"),
        (MAGIC + struct.pack("<Q", 4) + b"cos\n" + bytes(64), "is damaged or of another version: .*JSON"),
        (MAGIC + struct.pack("<Q", 2) + b"{}" + bytes(64), "is damaged or of another version: "),
    ],
)
def test_what_is_no_plan_is_refused(path, content, message):
    path.write_bytes(content)
    with pytest.raises(MillisError, match=message):
        file.read(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(MillisError, match=r"cannot read .*model.plan"):
        file.read(tmp_path / "model.plan")


LIES = {
    "version": (lambda plan: plan.update(version=2), "version"),
    "another tensor": (lambda plan: plan["steps"][0].update(weights=0), r"tensor 0 is 80 f4, expected 5 f4"),
    "no tensor": (lambda plan: plan["steps"][0].update(weights=9), r"tensor 9 is asked for, of 4"),
    "beyond the end": (lambda plan: plan["tensors"][3].update(offset=64 * 100), "tensor 3 lies outside of the file"),
    "between lines": (lambda plan: plan["tensors"][3].update(offset=4), "tensor 3 lies outside of the file"),
    "more rows": (lambda plan: plan["steps"][0]["table"].update(rows=6), "tensor 0 is 80 f4, expected 96 f4"),
    "other type": (lambda plan: plan["tensors"][1].update(dtype="i1"), "tensor 1 is 5 i1, expected 5 f4"),
    "no scales": (lambda plan: plan["steps"][1]["matrix"].update(kind="int8"), "a matrix of integers lacks its scales"),
    "no slot": (lambda plan: plan["steps"][2].update(source=2), "a step's input is 2"),
    "narrow slot": (lambda plan: plan["slots"][0].update(width=2), "a bag's outputs do not fit"),
    "in place": (lambda plan: plan["steps"][1].update(out=0), "a product lacks its rows"),
    "rows of tokens": (lambda plan: plan["slots"][0].update(per="token"), "a bag's outputs do not fit"),
    "wide output": (lambda plan: plan["outputs"][0].update(width=3), "an output has another width"),
    "no output": (lambda plan: plan["steps"][2].update(output=1), "gives an output that there is not"),
    "huge slot": (lambda plan: plan["slots"][0].update(width=2**24), "the slots are too wide"),
    "no slots": (lambda plan: plan.update(slots=[]), "the number of slots is 0"),
    "lacking output": (lambda plan: plan["outputs"].append({"per": "text", "width": 1}), "given by no step"),
    "column": (lambda plan: plan["steps"][1].update(column=1), "a product's outputs do not fit"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_plan_that_lies_is_refused(path, lie):
    change, message = LIES[lie]
    with pytest.raises(MillisError, match=message) as refused:
        PlanSession(file.parsed(rewritten(path, change), "model.plan"))
    assert "Make the artifact again" in str(refused.value)


def test_a_file_cut_short_is_refused_wherever_it_is_cut(path):
    whole = path.read_bytes()
    needed = len(whole) - 60  # what pads the last tensor is not missed
    for length in range(0, needed, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(MillisError, match="Make the artifact again"):
            PlanSession(file.read(path))


def opened(numbers, data):
    """What the compiled part says to numbers that did not come through Python's checks."""
    import ctypes

    message = ctypes.create_string_buffer(300)
    numbers = np.array(numbers, np.int64)
    model = library.load().millis_open(
        data.ctypes.data, len(data), numbers.ctypes.data, len(numbers), 0, 1, message, 300
    )  # fmt: skip
    if model:
        library.load().millis_close(model)
    return message.value.decode() if not model else None


def test_the_compiled_part_checks_every_number_by_itself(path):
    mapped = file.read(path)
    right = words.words(mapped).tolist()
    assert opened(right, mapped.data) is None
    assert opened(right[:-1], mapped.data) == "the plan ends too early"
    assert opened([*right, 0], mapped.data) == "the plan goes on after its end"
    chance = np.random.default_rng(0)
    for _ in range(3000):
        wrong = list(right)
        for place in chance.integers(0, len(right), chance.integers(1, 4)):
            wrong[place] = int(chance.choice([-(2**63), -1, 0, 1, 2, 64, 2**20, 2**31, 2**62, wrong[place] + 64]))
        opened(wrong, mapped.data)  # must come back, whatever it says


def test_pooling_of_nothing_is_refused(path):
    def change(plan):
        plan["steps"].insert(1, msgspec.to_builtins(Pool(0, 1, 2, "mean")))

    with pytest.raises(MillisError, match="a pooling's inputs do not fit"):
        PlanSession(file.parsed(rewritten(path, change), "model.plan"))


def test_a_tensor_has_bounds():
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"name": "", "dtype": "f8", "shape": [1], "offset": 0}, Tensor)
