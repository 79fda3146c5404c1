"""What somebody may take next, from what was taken before and from what things are called."""
