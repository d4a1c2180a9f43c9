"""The classroom: stepping one learner through a lesson, and asking."""
