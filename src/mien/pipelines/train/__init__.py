"""Training: a request in, weights in RUN out. ``presets`` says what there is to train and which settings each reads."""
