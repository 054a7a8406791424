from rich.console import Console, RenderableType


def shown(page: RenderableType) -> str:
    """What an 80 column terminal shows."""
    console = Console(width=80, highlight=False)
    with console.capture() as capture:
        console.print(page)
    return capture.get()
