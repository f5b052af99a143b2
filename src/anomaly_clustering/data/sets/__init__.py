"""Public data sets, and folders with an index file in; records of their images with types of defects out."""
