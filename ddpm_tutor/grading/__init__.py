"""Exercises: trying a learner's function, judging it, and drawing with it."""
