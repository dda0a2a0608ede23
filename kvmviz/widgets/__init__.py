"""ipywidgets over the text twin and the pictures; what they show is decided elsewhere."""
