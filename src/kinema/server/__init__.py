"""`kinema serve`: jobs over HTTP, and the home page. Thin routes on jobs/ and http/."""
