"""`python -m elision.proxy`: the command line where the command `elision` is not on the path."""

from elision.proxy.cli import main

if __name__ == "__main__":
    main()
