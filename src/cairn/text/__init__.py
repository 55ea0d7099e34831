"""Reading text: Markdown with places."""
