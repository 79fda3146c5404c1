"""How weights are found: one LightningModule; methods come as objective terms and callbacks."""
