"""A grouping in; one page to look at and to label it in, and pictures of many images at a glance, out."""
