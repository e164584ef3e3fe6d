"""D. Sanche's conditional GAN for background faces."""
