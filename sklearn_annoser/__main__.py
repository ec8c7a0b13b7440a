"""``python -m sklearn_annoser`` is the command line."""

from sklearn_annoser.command_line import main

if __name__ == "__main__":
    main()
