"""Entry point of `python -m faregate`: the same as the `faregate` command."""

from faregate.apps.cli.main import main

if __name__ == "__main__":
    main()
