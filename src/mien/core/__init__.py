"""Records, errors, images, files, seeds, configurations, weights: what every room stands on."""
