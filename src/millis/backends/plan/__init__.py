"""What `millis.backends.native` runs: a model's forward pass as a short list of coarse steps, and a file that holds it.

    steps         the steps, as they lie in the file
    file          the file: a header in JSON, then tensors
    words         a plan checked and written as the numbers that the compiled part reads
    library       the compiled part
    session       features in, outputs out
    continuation  texts that are read piece by piece
    packing       weights as the kernels read them
    builder       puts steps and tensors together; `families` has what each kind of model is made of

Loading and answering need NumPy and the compiled part, no torch.
"""
