"""`python -m kinema` is the command `kinema`."""

from .cli.main import main

if __name__ == "__main__":
    main()
