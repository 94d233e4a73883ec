"""The commands: one file each. They parse, call a plain function and print; heavy packages are imported when called."""
