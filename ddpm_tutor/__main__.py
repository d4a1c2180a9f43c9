"""`python -m ddpm_tutor` is the command `ddpm-tutor`."""

from ddpm_tutor.cli import main

if __name__ == "__main__":
    main()
