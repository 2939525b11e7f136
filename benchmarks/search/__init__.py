"""What the searches are held to: tables that anybody can print, beside SciPy in the same run."""
