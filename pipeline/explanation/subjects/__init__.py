"""What is explained for each kind of task: which score, and how the input of the model maps to the text."""
