"""Tables with added columns, written in the format of the file's suffix."""
