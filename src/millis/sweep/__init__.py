"""Search spaces, studies and frontiers."""
