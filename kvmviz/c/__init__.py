"""C text into structs: a bounded preprocessor, a syntax tree, and what declarations mean."""
