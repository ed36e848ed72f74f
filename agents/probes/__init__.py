"""What is observed from outside the page."""
