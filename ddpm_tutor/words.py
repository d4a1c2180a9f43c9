"""Words that every room forms in the same way."""


def count_of(number: float, noun: str) -> str:
    """How many there are of something, in the singular or the plural.

    Example:
        >>> count_of(1, "epoch"), count_of(2000, "digit"), count_of(0.5, "point")
        ('1 epoch', '2,000 digits', '0.5 points')
    """
    written = f"{number:,}" if isinstance(number, int) else f"{number:g}"
    return f"{written} {noun}{'' if number == 1 else 's'}"
