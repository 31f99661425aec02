"""HTTP itself: the server, the middleware round every request, authorization, parsing, replies, problems, limits."""
