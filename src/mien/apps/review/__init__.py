"""`mien data review`: people look at faces and their labels, the most suspicious first, and say what is right."""
