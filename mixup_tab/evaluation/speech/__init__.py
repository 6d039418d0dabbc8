"""Speech from the command line: train, evaluate, predict, and figure 4 of the mixup paper."""
