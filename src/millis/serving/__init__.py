"""What answers requests: an artifact on its runtime, whole, in steps or as a cascade; text in, prediction out."""
