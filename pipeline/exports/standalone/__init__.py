"""Files that exported folders contain, to use a model without this project. They import nothing from it."""
