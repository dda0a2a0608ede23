"""What every picture is held against: its words, and that they can be read."""

import itertools

from matplotlib.text import Text

from kvmviz.draw import Picture


def words_of(picture: Picture) -> list[str]:
    """All that is written in a picture."""
    found = picture.figure.findobj(Text)
    return [artist.get_text() for artist in found if isinstance(artist, Text)]


def check_words(picture: Picture) -> None:
    """No words overlap or leave the sheet."""
    figure = picture.figure
    figure.draw_without_rendering()
    sheet = figure.bbox
    boxes = [
        (artist.get_text(), artist.get_window_extent())
        for artist in figure.findobj(Text)
        if isinstance(artist, Text) and artist.get_text().strip()
    ]
    for words, box in boxes:
        assert sheet.x0 <= box.x0, words
        assert box.x1 <= sheet.x1, words
        assert sheet.y0 <= box.y0, words
        assert box.y1 <= sheet.y1, words
    for (words, box), (others, other) in itertools.combinations(boxes, 2):
        # Descenders of one line may touch the ascenders' room of the next; letters may not.
        across = min(box.x1, other.x1) - max(box.x0, other.x0)
        down = min(box.y1, other.y1) - max(box.y0, other.y0)
        assert across <= 0 or down <= 4, f"{words!r} lies on {others!r}"
