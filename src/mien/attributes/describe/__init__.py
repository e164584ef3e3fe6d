"""What can be said of the faces on a photo."""
