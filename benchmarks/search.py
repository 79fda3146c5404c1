"""What searching a collection costs: every vector looked at, and a graph of neighbours, as `task=retrieval` has both.

    python benchmarks/search.py FOLDER,FOLDER,... [sizes=1000,10000,100000] [queries=200]

FOLDERs are data sets as `data=local` reads them: the texts of their training splits, in random order, are entries, and
texts of their validation splits ask. Vectors are the means of all-MiniLM-L6-v2's word vectors, as a static student has
them, for what a search costs depends on how many and how wide they are. Times are medians of queries in turns, one
thread; `found` is the share of the exact ten.
"""

import random
import sys
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from recipes import divided
from results import Table

from millis.cli.hydra_app import composed
from millis.cli.recipes import inputs_of
from millis.data.encode import encodings
from millis.data.neighbour_graph import NeighbourGraph
from millis.data.vectors import Vectors, unit
from millis.models.load import Packaged
from millis.models.outputs import LOGITS
from millis.types import Output

LONGEST = 128
MOST = 10


def main() -> int:
    usual = {"sizes": "1000,10000,100000", "queries": "200"}
    own, _ = divided(sys.argv[2:], usual)
    folders, sizes = sys.argv[1].split(","), list(map(int, own["sizes"].split(",")))
    torch.set_num_threads(1)
    entries, queries = vectors_of(folders, max(sizes), int(own["queries"]))
    heads = ("exact ms", "graph ms", "graph / exact", "found", "candidates", "made in s", "links MB", "pays")
    names = ", ".join(Path(folder).name for folder in folders)
    with Table("entries", *heads, title=f"{names}, {len(queries)} queries") as table:
        for size in sizes:
            begun = perf_counter()
            graph = NeighbourGraph.of(Vectors(entries[:size]))
            made = perf_counter() - begun
            one = graph.compared(queries, MOST)
            links = sum(array.nbytes for array in graph.arrays().values()) / 1e6
            times = [f"{one.exact_ms:.3f}", f"{one.graph_ms:.3f}", f"{one.graph_ms / one.exact_ms:.2f}"]
            rest = [f"{one.found:.1%}", f"{one.searched}", f"{made:.0f}", f"{links:.1f}", "yes" if one.pays else "no"]
            table.row(f"{size:,}", *times, *rest)
    return 0


def vectors_of(folders: list[str], most: int, asked: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Vectors of entries [most, D] and of queries [asked, D]; in half precision, as artifacts carry them."""
    texts: dict[str, dict[str, None]] = {"train": {}, "validation": {}}
    for folder in folders:
        dataset = inputs_of(composed("compress", ["data=local", f"data.path={folder}", "logger=none"])).dataset
        for split, found in texts.items():
            found.update(dict.fromkeys(text for text in getattr(dataset, split).texts if isinstance(text, str)))
    entries = random.Random(0).sample(list(texts["train"]), len(texts["train"]))[:most]
    others = [text for text in texts["validation"] if text not in texts["train"]]
    if len(entries) < most or len(others) < asked:
        raise SystemExit(f"got {len(entries)} entries and {len(others)} queries: expected {most} and {asked}")
    model, tokenizer = Packaged()((Output(LOGITS, "text", 2),), entries)
    table = model.encoder.get_input_embeddings().weight.detach().numpy()
    both = (entries, random.Random(0).sample(others, asked))
    read = [encodings(some, tokenizer, LONGEST, False) for some in both]
    means = [np.stack([table[one.ids].mean(axis=0) for one in some]) for some in read]
    found, queries = (unit(one).astype(np.float16).astype(np.float32) for one in means)
    return found, queries


if __name__ == "__main__":
    sys.exit(main())
