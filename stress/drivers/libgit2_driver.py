#!/usr/bin/env python3
"""libgit2 as a driver of reftable-stress, by pygit2: speaks the lines of docs/bench.md.

    reftable-stress --ref-format files \\
        --line-driver "3:python3 $PWD/stress/drivers/libgit2_driver.py"

A build that does not know the format of the repository says so, and ends. pygit2 has no transaction
over several references; such changes are refused.
"""

import os
import sys

import pygit2


def commit(repository, changes):
    if len(changes) > 1:
        return "refused no transactions over several references"
    [(name, old, new)] = changes
    try:
        found = repository.references[name]
    except KeyError:
        found = None
    if (str(found.target) if found else None) != old:
        return "refused conflict"
    if new is None:
        found.delete()
    elif old is None:
        repository.references.create(name, new)
    else:
        # Fails if it has moved since it was read.
        found.set_target(new)
    return "ok"


def value(text):
    return None if text == "-" else text


def main():
    try:
        repository = pygit2.Repository(os.environ.get("STRESS_GIT_DIR", ".git"))
    except pygit2.GitError as error:
        sys.exit(f"libgit2 {pygit2.LIBGIT2_VERSION}: {error}")
    changes = []
    for line in sys.stdin:
        words = line.split()
        if words[0] == "change":
            changes.append((words[1], value(words[2]), value(words[3])))
        elif words[0] == "commit":
            asked, changes = changes, []
            try:
                print(commit(repository, asked), flush=True)
            except (pygit2.GitError, ValueError, OSError) as error:
                print("refused", str(error).replace("\n", " "), flush=True)
        elif words[0] == "list":
            lines = []
            for name in sorted(repository.references):
                if name.startswith(words[1]):
                    try:
                        lines.append(f"{repository.references[name].target} {name}")
                    except KeyError:
                        pass  # It is gone meanwhile.
            print("\n".join(lines + ["end"]), flush=True)


main()
