"""HTML that needs no kernel and no network: the board that widgets show, the page, the talk."""
