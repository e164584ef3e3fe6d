"""One folder a paper: its networks and losses as printed."""
