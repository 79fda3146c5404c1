"""The corpus that ships with the virtual assistant; see `CARD.md`."""
