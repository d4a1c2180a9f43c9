"""What a student hands in, and what a teacher makes of it."""
