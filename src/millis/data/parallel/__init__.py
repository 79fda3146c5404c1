"""A parallel corpus made by rules: what customers and an invented company say, in English, German, Chinese at once."""
