"""Tables with added columns, written in the format that the suffix of the file names."""
