"""Print what a shell needs to complete horus commands, options and the live names of a robot.

Live are topics, devices, nodes, parameters and sessions: the shell asks while you type.
"""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Sequence

from horus.cli.livewords import LIVE, VALUES
from horus.cli.main import COMMANDS, Command, plugin_commands

_EXAMPLES = """\
examples:
  eval "$(horus completion bash)"                       in ~/.bashrc
  eval "$(horus completion zsh)"                        in ~/.zshrc, after compinit
  horus completion fish > ~/.config/fish/completions/horus.fish
"""
#: Holds the words that were typed, apart from each other by this character.
LINE, BETWEEN = "HORUS_LINE", "\x1f"
_SCRIPTS = {
    "bash": """\
_horus() {
    local IFS=$'\\x1f' current="${COMP_WORDS[COMP_CWORD]}" found
    local line="${COMP_WORDS[*]:1:COMP_CWORD}"
    found="$(HORUS_LINE="$line" horus completion words 2>/dev/null)"
    IFS=$'\\n'
    COMPREPLY=($(compgen -W "$found" -- "$current"))
    [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "$current"))
}
complete -o filenames -F _horus horus
""",
    "zsh": """\
_horus() {
    local -a found
    local line="${(pj:\\x1f:)words[2,CURRENT]}"
    found=(${(f)"$(HORUS_LINE="$line" horus completion words 2>/dev/null)"})
    if (( ${#found} )); then compadd -a found; else _files; fi
}
compdef _horus horus
""",
    "fish": """\
function __horus_words
    set -l typed (commandline -opc) (commandline -ct)
    HORUS_LINE=(string join \\x1f -- $typed[2..-1]) horus completion words 2>/dev/null
end
complete -c horus -a '(__horus_words)'
""",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `horus completion`."""
    parser.epilog = _EXAMPLES
    parser.add_argument("shell", choices=(*_SCRIPTS, "words"), help="words: used by the scripts")


def main(args: argparse.Namespace) -> int:
    """Print the script; of ``words``, what may stand in the place of the last one."""
    if args.shell != "words":
        print(_SCRIPTS[args.shell], end="")
        return 0
    for word in candidates(os.environ.get(LINE, "").split(BETWEEN)):
        print(word)
    return 0


def candidates(line: Sequence[str]) -> list[str]:
    """Return what the last word of a line may become, sorted; whatever goes wrong, nothing."""
    try:
        found = _candidates(list(line[:-1]), line[-1])
    except (Exception, SystemExit):  # a person is typing: an error would tear the line apart
        return []
    return sorted({word for word in found if word.startswith(line[-1])})


def _candidates(before: list[str], current: str) -> list[str]:
    if not before:
        return [*COMMANDS, *plugin_commands(), "--help", "--version"]
    command = COMMANDS.get(before[0])
    if command is None:
        return []
    name, module = before[0], importlib.import_module(command.module)
    words = before[1:]
    actions: dict[str, Command] = getattr(module, "ACTIONS", {})
    if actions:
        if not words:
            return [*actions, "--help"]
        name, module = f"{name} {words[0]}", importlib.import_module(actions[words[0]].module)
        words = words[1:]
    parser = argparse.ArgumentParser(allow_abbrev=False)
    module.configure(parser)
    options = {o: action for action in parser._actions for o in action.option_strings}
    _join(words)
    last = options.get(words[-1]) if words else None
    if last is not None and last.nargs != 0:
        return _values(last, _typed(words[:-1], options), current)
    if current.startswith("-"):
        return [option for option in options if option.startswith("--")]
    typed = _typed(words, options)
    place = len(typed)
    positionals = [action for action in parser._actions if not action.option_strings]
    if place < len(positionals) and positionals[place].choices:
        return list(map(str, positionals[place].choices or ()))
    live = LIVE.get((name, place)) or LIVE.get((name, -1))
    return live(typed, current) if live else []


def _typed(words: Sequence[str], options: dict[str, argparse.Action]) -> list[str]:
    """Return the words before that are no options and no values of options."""
    found, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word in options:
            skip = options[word].nargs != 0
        elif not word.startswith("-"):
            found.append(word)
    return found


def _values(action: argparse.Action, typed: list[str], current: str) -> list[str]:
    if action.choices:
        return list(map(str, action.choices))
    live = VALUES.get(action.dest)
    return live(typed, current) if live else []


def _join(words: Sequence[str]) -> None:
    """Take part in the run that the line names, or in the only one there is."""
    from horus.runtime.sessions import running_sessions

    if "--session" in words[:-1]:
        os.environ["HORUS_SESSION_ID"] = words[list(words).index("--session") + 1]
    elif not os.environ.get("HORUS_SESSION_ID") and len(running_sessions()) == 1:
        os.environ["HORUS_SESSION_ID"] = running_sessions()[0].id
