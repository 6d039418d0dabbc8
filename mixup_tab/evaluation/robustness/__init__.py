"""The study of wrong labels and adversarial examples."""
