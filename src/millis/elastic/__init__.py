"""One set of weights that runs at many sizes: trained once, then any smaller student is cut out of it."""
