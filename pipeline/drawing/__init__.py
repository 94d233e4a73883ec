"""Pages for people: self-contained HTML that opens offline."""
