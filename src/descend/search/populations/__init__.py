"""Methods that look at values only, most of them of a whole population at once."""
