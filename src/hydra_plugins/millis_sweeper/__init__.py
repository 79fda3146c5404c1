"""Hydra's `hydra/sweeper=optuna`: searches with millis.sweep, runs trials on any Hydra launcher."""
