"""The channel: from a theme to a programme. What is here is the director, who writes the shots (docs/director.md)."""
