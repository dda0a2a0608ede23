/* What it says is known: see kvmviz.c.target. */
