"""The painter: a conditional flow that draws a whole face, given a code that says who it is."""
