"""An image set of your own: collected from lists, folders and archives, freed of duplicates, split, looked through."""
