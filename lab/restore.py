"""Bring originals of the book back to the working copies: `make restore NB=08-nin`."""

import sys

from d2lutil.pages import sections
from lab import working_copies


def main(names: list[str]) -> None:
    """Restore the notebooks with these names; nothing if one of them is unknown."""
    if not names:
        sys.exit("Name the notebook that you want back: make restore NB=08-nin.")
    names = [name.removeprefix("work/").removesuffix(".ipynb") for name in names]
    unknown = [name for name in names if name not in working_copies.originals()]
    if unknown:
        sys.exit(
            f"There is no notebook {unknown[0]!r}; there are "
            f"{', '.join(sections.notebook_names())}."
        )
    for name in names:
        print(restore(name))


def restore(name: str) -> str:
    """Restore one notebook; return what there is to say about it."""
    work = working_copies.work_folder()
    if working_copies.is_as_original(name, work):
        return (
            f"The file of {name} is as it is in the book: there is nothing to restore. "
            "Changes that you see and have not saved are in the browser only."
        )
    kept = working_copies.restore(name, work)
    if kept is None:
        return f"{name} is there again."
    return f"{name} is the book's again; yours is now {kept.relative_to(work)}."


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OSError as error:
        sys.exit(f"It is not restored: {error}")
