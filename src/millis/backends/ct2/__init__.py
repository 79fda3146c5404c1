"""What CTranslate2 needs of an encoder-decoder, and what it makes of it: weights, session."""
