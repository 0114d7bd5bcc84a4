"""Reference packs: what others know of genres, as data, and how it is read."""
