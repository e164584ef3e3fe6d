"""Makes faces: density, decoder, upscaler, and the ways in."""
