"""Greedy texts by onnxruntime-genai, for `native_decoder.py`; run by a Python that has that package.

    PYTHON benchmarks/genai_worker.py FOLDER

A line of JSON in, [prompt's tokens, how many to write], one out: milliseconds to the first token, and of each after it.
"""

import json
import sys
from itertools import pairwise
from time import process_time_ns

import onnxruntime_genai as genai  # type: ignore[import-not-found]


def main() -> None:
    model = genai.Model(sys.argv[1])
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        prompt, count = json.loads(line)
        moments = [process_time_ns()]
        settings = genai.GeneratorParams(model)
        settings.set_search_options(max_length=len(prompt) + count, min_length=len(prompt) + count, do_sample=False)
        generator = genai.Generator(model, settings)
        generator.append_tokens(prompt)
        for _ in range(count):
            generator.generate_next_token()
            generator.get_next_tokens()
            moments.append(process_time_ns())
        print(json.dumps([(after - before) / 1e6 for before, after in pairwise(moments)]), flush=True)


if __name__ == "__main__":
    main()
