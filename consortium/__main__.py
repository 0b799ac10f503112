"""`python -m consortium`."""

from consortium.cli.main import main

if __name__ == "__main__":
    main()
