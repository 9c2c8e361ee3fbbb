"""Make actuators safe whose driver process has died: the run's side of the last words."""

from __future__ import annotations

from pathlib import Path

#: Where drivers leave them, in the session's folder (`horus.hardware.lastwords.FOLDER`).
FOLDER = "last_words"


def speak(session_path: Path, pid: int, why: str) -> list[str]:
    """Send what the process had recorded to make its devices safe; return lines that tell it.

    Nothing is said for a process that had no armed device. ``why`` names what became of it.
    """
    if not (session_path / FOLDER).is_dir():
        return []  # most runs: nothing was ever armed, and the import below takes its time
    try:
        from horus.hardware import lastwords

        words = lastwords.speak(session_path, pid)
    except Exception as error:  # whatever went wrong, the other devices still have their turn
        return [f"   NOT MADE SAFE: the last words of process {pid} failed: {error}"]
    lines = []
    for word in words:
        if word.ok:
            text = f"{word.text}; its process: {why}"
            lines.append(f"   {word.device}: made safe by the supervisor ({text})")
        else:
            lines.append(f"   {word.device}: NOT MADE SAFE: {word.text} (its process: {why})")
    return lines
