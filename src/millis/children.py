"""What processes that this one starts find in their environment."""

import os
from pathlib import Path

import millis

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
SECRET = ("_TOKEN", "_TOKEN_FILE")  # ends of the names of millis' own variables that are no child's to know


def environment(threads: int) -> dict[str, str]:
    """The parent's, with thread counts set before any library reads them and this very millis importable.

    No token of millis' own, or where it lies, is among it.
    """
    source = str(Path(millis.__file__).parent.parent)
    paths = [source, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    kept = {
        name: value for name, value in os.environ.items() if not (name.startswith("MILLIS_") and name.endswith(SECRET))
    }
    return {
        **kept,
        **dict.fromkeys(THREAD_VARIABLES, str(threads)),
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
        "PYTHONSAFEPATH": "1",  # a file called json.py in the user's folder is not ours to import
        "HF_HUB_OFFLINE": "1",
    }
