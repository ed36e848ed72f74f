"""How a page is opened."""
