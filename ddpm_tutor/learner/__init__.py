"""The learner: where each lesson was left, and the points that answers have earned."""
