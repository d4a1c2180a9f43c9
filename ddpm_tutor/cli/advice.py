"""What to type after an error: the library says what is wrong, and knows no option."""

from ddpm_tutor.errors import TutorError

# by the name of the error's class: to import the classes would load torch
ADVICE = {
    "RunExists": "Go on with --resume, or choose another --run-dir.",
    "FolderTaken": "Choose another --run-dir.",
    "FolderBusy": "Wait for it, stop it, or choose another --run-dir.",
    "NothingToResume": "Leave out --resume to start one.",
    "RunDamaged": "Start again in another --run-dir.",
    "OtherSettings": "Resume it with the same settings, or start another with --run-dir.",
    "OtherDigits": "Name the same data with --data.",
    "UnknownLabels": "Name other data with --data, or train without labels: --unconditional",
    "TrainingLost": "Start again in another --run-dir with a smaller --lr, such as {error.lr:g}.",
    "NotMNIST": "Put MNIST's own file in its place, or leave --data and DDPM_TUTOR_DATA out to "
    "have it downloaded.",
    "NoMNIST": "Name a torchvision root with --data or DDPM_TUTOR_DATA, or leave both out.",
    "MNISTOutOfReach": "Go online once, or name a torchvision root with --data DIR or "
    "DDPM_TUTOR_DATA.",
    "DeviceUnusable": "Use the CPU: --device cpu",
}


def with_advice(error: TutorError) -> str:
    """What an error says, and in a second line what to type."""
    advice = ADVICE.get(type(error).__name__, "").format(error=error)
    match type(error).__name__:
        case "OtherNetwork":
            label = "--conditional" if error.conditional else "--unconditional"  # type: ignore[attr-defined]
            advice = f"Add: --network {error.network} --width {error.width} {label}"  # type: ignore[attr-defined]
        case "OtherSettings" if "own_code" in str(error):
            again = "with" if "own_code = True" in str(error) else "without"
            advice = f"Resume it {again} --with-my-code, or start another with --run-dir."
        case "BatchTooLarge":
            fits = error.fits  # type: ignore[attr-defined]
            smaller = f"--batch-size {fits}, which fits" if fits else "a smaller --width"
            advice = f"Start again in another --run-dir with {smaller}."
    return f"{error}\n{advice}" if advice else str(error)
