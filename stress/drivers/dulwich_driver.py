#!/usr/bin/env python3
"""dulwich as a driver of reftable-stress: speaks the lines of docs/bench.md.

    reftable-stress --line-driver "3:python3 $PWD/stress/drivers/dulwich_driver.py"

dulwich has no transaction over several references. What comes nearest is done: all are looked at,
and then written as one table.
"""

import os
import sys

from dulwich.reftable import ReftableRefsContainer
from dulwich.repo import Repo


def open_refs():
    git_dir = os.environ.get("STRESS_GIT_DIR", ".git")
    if os.path.isdir(os.path.join(git_dir, "reftable")):
        return ReftableRefsContainer(git_dir)
    return Repo(os.path.dirname(git_dir) or ".").refs


def current(refs, name):
    try:
        return refs.read_loose_ref(name) or refs.get_packed_refs().get(name)
    except KeyError:
        return None


def commit(refs, changes):
    if len(changes) == 1:
        [(name, old, new)] = changes
        if new is None:
            done = refs.remove_if_equals(name, old)
        elif old is None:
            done = refs.add_if_new(name, new)
        else:
            done = refs.set_if_equals(name, old, new)
        return "ok" if done else "refused conflict"
    if any(current(refs, name) != old for name, old, _ in changes):
        return "refused conflict"
    if not isinstance(refs, ReftableRefsContainer):
        return "refused files have no batch"
    with refs.batch_update():
        for name, old, new in changes:
            if new is None:
                refs.remove_if_equals(name, old)
            else:
                refs.set_if_equals(name, old, new)
    return "ok"


def value(text):
    return None if text == "-" else text.encode()


def main():
    refs, changes = open_refs(), []
    for line in sys.stdin:
        words = line.split()
        if words[0] == "change":
            changes.append((words[1].encode(), value(words[2]), value(words[3])))
        elif words[0] == "commit":
            asked, changes = changes, []
            try:
                print(commit(refs, asked), flush=True)
            except Exception as error:  # It may have failed after the writing.
                print("unknown", repr(error).replace("\n", " "), flush=True)
        elif words[0] == "list":
            try:
                found = sorted(name for name in refs.allkeys() if name.startswith(words[1].encode()))
                lines = [f"{current(refs, name).decode()} {name.decode()}" for name in found]
            except Exception as error:
                print("refused", repr(error).replace("\n", " "), flush=True)
                continue
            print("\n".join(lines + ["end"]), flush=True)


main()
