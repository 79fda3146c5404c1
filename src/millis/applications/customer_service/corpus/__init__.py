"""The corpus that ships with the customer service, in English and Chinese; see `CARD.md`."""
