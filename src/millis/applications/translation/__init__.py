"""Translation of texts of any length, sentence by sentence, with a glossary that is kept."""
