"""Parameter groups: by name, by depth, by what a rule takes."""
